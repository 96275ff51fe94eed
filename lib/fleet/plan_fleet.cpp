// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "lib/core/workers.h"
#include "lib/fleet/host_survey.h"
#include "lib/fleet/plan_volumes.h"
#include "lib/fleet/planning_storage.h"
#include "lib/fleet/sums.h"
#include "lib/fleet/waves.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"

namespace vmferry {
namespace fleet {
namespace {

/// Each is mostly waited for.
constexpr size_t kHostsAtOnce = 16;

std::vector<HostSurvey> ask_all(const std::vector<HostQuestion>& questions,
                                const FleetContext& context, MigrationStorage& storage) {
  TargetHosts targets(context);
  std::vector<HostSurvey> answers(questions.size());
  std::atomic<size_t> next = 0;
  const auto threads = static_cast<unsigned>(std::clamp<size_t>(questions.size(), 1, kHostsAtOnce));
  run_workers(threads, context.stop, [&](std::stop_token stop) {
    FleetContext mine = context;
    mine.stop = std::move(stop);
    for (size_t i = next++; i < questions.size(); i = next++) {
      answers[i] = survey_host(questions[i], mine, storage, targets);
    }
  });
  return answers;
}

void require_template(const std::string& name_template) {
  Domain any;
  any.name = any.uuid = "x";
  fill_name_template(name_template, any, "vda");
}

/// Puts the answers of all hosts together; what two guests cannot both have, the first gets.
class Gathering {
 public:
  /// `once`: a host that was asked twice is one too many.
  Gathering(FleetPlan plan, bool once) : once_(once) { survey_.plan = std::move(plan); }

  void add(HostSurvey& host) {
    if (!host.trouble.empty()) {
      survey_.troubles.push_back(fmt::format("{}: {}", host.uri, host.trouble));
    }
    if (host.facts.hostname.empty() || !is_new(host)) {
      host.guests.clear();
      return;
    }
    std::erase_if(host.guests, [&](SurveyedGuest& guest) { return !take(guest.job); });
    remark_warnings(host);
    for (const SurveyedGuest& guest : host.guests) {
      survey_.plan.jobs.push_back(guest.job);
    }
    survey_.refused.insert(survey_.refused.end(), host.refused.begin(), host.refused.end());
    survey_.left_out.insert(survey_.left_out.end(), host.left_out.begin(), host.left_out.end());
  }

  void trouble(std::string what) { survey_.troubles.push_back(std::move(what)); }

  FleetSurvey finish(const std::vector<HostSurvey>& hosts, MigrationStorage& storage) {
    add_sums(hosts, storage, survey_);
    survey_.sums.insert(survey_.sums.end(), common_.begin(), common_.end());
    write_remarks();
    return std::move(survey_);
  }

 private:
  bool is_new(const HostSurvey& host) {
    const auto [at, is_new] = hosts_.emplace(host.facts.hostname, &host);
    if (is_new || (!once_ && host.facts.uuid == at->second->facts.uuid)) {
      return true;
    }
    const HostSurvey& other = *at->second;
    if (host.facts.uuid == other.facts.uuid) {
      survey_.left_out.push_back(
          fmt::format("{}: it is {}, as {} is", host.uri, host.facts.hostname, other.uri));
    } else {
      trouble(
          fmt::format("{}: it calls itself {}, as {} does: a plan could not tell them apart "
                      "(rename one, or plan for it alone)",
                      host.uri, host.facts.hostname, other.uri));
    }
    return false;
  }

  bool take(const FleetJob& job) {
    const std::string who = job.name + " on " + job.host;
    std::vector<std::pair<std::string, std::string>> wants = {{"the UUID " + job.uuid, ""}};
    for (const FleetDisk& disk : job.disks) {
      wants.emplace_back("the volume " + disk.target.display(),
                         " (a name template with {uuid} gives each its own)");
    }
    if (!job.target_host.empty()) {
      wants.emplace_back(fmt::format("the name {} on {}", job.name, job.target_host),
                         " (rename one)");
    }
    std::vector<std::string> reasons;
    for (const auto& [thing, hint] : wants) {
      if (const auto other = taken_.find(thing); other != taken_.end()) {
        reasons.push_back(fmt::format("{} is {}'s already{}", thing, other->second, hint));
      }
    }
    if (!reasons.empty()) {
      survey_.refused.push_back({.guest = job.name, .host = job.host, .reasons = reasons});
      return false;
    }
    for (const auto& [thing, hint] : wants) {
      taken_[thing] = who;
    }
    return true;
  }

  /// What is said of every guest of a host is said once.
  void remark_warnings(HostSurvey& host) {
    std::map<std::string, size_t> counts;
    for (const SurveyedGuest& guest : host.guests) {
      for (const std::string& warning : guest.warnings) {
        ++counts[warning];
      }
    }
    const auto is_common = [&](const std::string& warning) {
      return host.guests.size() > 1 && counts[warning] >= host.guests.size();
    };
    for (const auto& [warning, count] : counts) {
      if (is_common(warning)) {
        common_.push_back(
            fmt::format("warning: every guest of {}: {}", host.facts.hostname, warning));
      }
    }
    for (SurveyedGuest& guest : host.guests) {
      for (const std::string& warning : guest.warnings) {
        if (!is_common(warning)) {
          guest.job.remarks.push_back("warning: " + warning);
        }
      }
    }
  }

  void write_remarks() {
    FleetPlan& plan = survey_.plan;
    for (const std::string& trouble : survey_.troubles) {
      plan.head.push_back("trouble: " + trouble);
    }
    plan.head.insert(plan.head.end(), survey_.sums.begin(), survey_.sums.end());
    for (const FleetRefusal& refusal : survey_.refused) {
      for (const std::string& reason : refusal.reasons) {
        plan.tail.push_back(
            fmt::format("refused: {} on {}: {}", refusal.guest, refusal.host, reason));
      }
    }
    for (const std::string& left_out : survey_.left_out) {
      plan.tail.push_back("left out: " + left_out);
    }
  }

  const bool once_;
  FleetSurvey survey_;
  std::vector<std::string> common_;  ///< warnings
  std::map<std::string, const HostSurvey*> hosts_;
  std::map<std::string, std::string> taken_;  ///< by whom
};

/// The limits of a plan, and none of its jobs.
FleetPlan empty_plan(const std::string& pool, const FleetCeph& ceph, const FleetLimits& limits) {
  FleetPlan plan;
  plan.pool = pool;
  plan.ceph = ceph;
  plan.limits = limits;
  return plan;
}

}  // namespace

void require_pool(const std::string& pool, MigrationStorage& storage) {
  if (!storage.pool(pool).exists) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "pool " + pool,
                 .action = {},
                 .cause = "there is no such pool",
                 .hint = "'ceph osd pool ls' names them"});
  }
  storage.prove_access(pool);
}

}  // namespace fleet

FleetSurvey plan_fleet(const FleetRequest& request, const FleetContext& context) {
  using namespace fleet;
  require_template(request.name_template);
  PlanningStorage storage(*context.storage);
  require_pool(request.pool, storage);
  std::vector<HostQuestion> questions;
  for (const std::string& uri : request.hosts) {
    questions.push_back({.uri = uri, .request = &request, .plan = nullptr, .jobs = {}});
  }
  std::vector<HostSurvey> hosts = ask_all(questions, context, storage);
  Gathering gathering(empty_plan(request.pool, request.ceph, request.limits), true);
  for (HostSurvey& host : hosts) {
    gathering.add(host);
  }
  for (const std::string& name : request.guests) {
    if (std::none_of(hosts.begin(), hosts.end(),
                     [&](const HostSurvey& host) { return host.named.contains(name); })) {
      gathering.trouble("no host that was asked has a guest " + name);
    }
  }
  FleetSurvey survey = gathering.finish(hosts, storage);
  set_waves(survey.plan.jobs, request);
  return survey;
}

FleetSurvey check_fleet(const FleetPlan& plan, const FleetContext& context) {
  using namespace fleet;
  PlanningStorage storage(*context.storage);
  require_pool(plan.pool, storage);
  std::vector<HostQuestion> questions;
  std::map<std::string, size_t> by_uri;
  for (const FleetJob& job : plan.jobs) {
    if (job.task != FleetTask::kMove) {
      continue;
    }
    const auto [at, is_new] = by_uri.emplace(job.connect, questions.size());
    if (is_new) {
      questions.push_back({.uri = job.connect, .request = nullptr, .plan = &plan, .jobs = {}});
    }
    questions[at->second].jobs.push_back(&job);
  }
  std::vector<HostSurvey> hosts = ask_all(questions, context, storage);
  Gathering gathering(empty_plan(plan.pool, plan.ceph, plan.limits), false);
  for (HostSurvey& host : hosts) {
    gathering.add(host);
  }
  FleetSurvey survey = gathering.finish(hosts, storage);
  check_volumes(plan, storage, survey);
  return survey;
}

}  // namespace vmferry
