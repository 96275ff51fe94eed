// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/host_survey.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/format_bytes.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

std::string with_hint(const std::string& what, const std::string& hint) {
  return hint.empty() ? what : what + " (" + hint + ")";
}

std::string said_by(const Error& error) { return with_hint(error.what(), error.hint()); }

std::vector<std::string> texts_of(const Plan& plan, Check::Result result) {
  std::vector<std::string> texts;
  for (const Check& check : plan.checks) {
    if (check.result == result) {
      texts.push_back(with_hint(check.name + ": " + check.message, check.hint));
    }
  }
  return texts;
}

/// All of its disks that could be on RBD are there.
bool is_on_rbd(const Domain& domain) {
  bool found = false;
  for (const DomainDisk& disk : domain.disks) {
    if (disk.can_move()) {
      return false;
    }
    found = found || disk.image.is_rbd();
  }
  return found;
}

/// Why the text of a plan takes no such job; empty: it does. A guest's name may hold a tab.
std::string why_not_in_a_plan(const FleetJob& job) {
  FleetPlan plan;
  plan.pool = job.disks.front().target.pool;
  plan.jobs = {job};
  try {
    read_plan(write_plan(plan), "plan");
    return {};
  } catch (const Error& error) {
    return error.parts().cause;
  }
}

class HostSurveyor {
 public:
  HostSurveyor(const HostQuestion& question, const FleetContext& context, MigrationStorage& storage,
               TargetHosts& targets)
      : question_(question), context_(context), storage_(storage), targets_(targets) {
    survey_.uri = question.uri;
  }

  HostSurvey ask() {
    try {
      host_ = context_.connect(question_.uri);
      survey_.facts = host_->facts();
      question_.request != nullptr ? all_guests() : all_jobs();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
      survey_.trouble = said_by(error);
    }
    return std::move(survey_);
  }

 private:
  void throw_if_stopped() const {
    if (context_.stop.stop_requested()) {
      throw cancelled_error();
    }
  }

  void all_guests() {
    const std::vector<std::string>& wanted = question_.request->guests;
    std::vector<std::string> names = host_->domains();
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      throw_if_stopped();
      const bool named = std::find(wanted.begin(), wanted.end(), name) != wanted.end();
      if (named) {
        survey_.named.insert(name);
      }
      if (named || wanted.empty()) {
        forgiving(name, [&] { new_guest(name, named); });
      }
    }
  }

  void all_jobs() {
    for (const FleetJob* job : question_.jobs) {
      throw_if_stopped();
      forgiving(job->name, [&] { planned_job(*job); });
    }
  }

  /// One guest that cannot be planned stops no other, unless it is the host that does not answer.
  template <typename Act>
  void forgiving(const std::string& guest, Act act) {
    try {
      act();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
      host_->facts();
      refuse(guest, {said_by(error)});
    }
  }

  void refuse(const std::string& guest, std::vector<std::string> reasons) {
    survey_.refused.push_back(
        {.guest = guest, .host = survey_.facts.hostname, .reasons = std::move(reasons)});
  }

  void leave_out(const std::string& name, const std::string& why) {
    survey_.left_out.push_back(fmt::format("{} on {}: {}", name, survey_.facts.hostname, why));
  }

  void new_guest(const std::string& name, bool named) {
    const std::shared_ptr<Guest> guest = host_->guest(name);
    const Domain domain = parse_domain(guest->definition(DefinitionKind::kLive), "domain " + name);
    if (is_on_rbd(domain)) {
      return leave_out(name, "all of its disks are on RBD");
    }
    if (!named && !guest->persistent()) {
      return leave_out(name, "it is transient: it has no definition to change");
    }
    const FleetRequest& wanted = *question_.request;
    FleetPlan plan;
    plan.pool = wanted.pool;
    plan.ceph = wanted.ceph;
    FleetJob job;
    job.name = name;
    job.connect = question_.uri;
    job.to = wanted.to;
    job.way = wanted.way;
    job.rewrite_only = wanted.rewrite_only;
    job.shut_down = true;  // if that is what `way` means
    job.snapshots = wanted.snapshots;
    if (wanted.warm) {
      job.warm = guest->state() != DomainState::kShutOff;
      job.way = job.warm ? MigrateMode::kLive : MigrateMode::kOffline;
    }
    MigrateRequest request = migrate_request(plan, job);
    request.name_template = wanted.name_template;
    plan_guest(std::move(request), std::move(job));
  }

  void planned_job(const FleetJob& job) {
    if (job.host != survey_.facts.hostname) {
      return refuse(job.name, {fmt::format("host: {} leads to {} now, and the plan has {}",
                                           job.connect, survey_.facts.hostname, job.host)});
    }
    const std::string uuid = host_->guest(job.name)->uuid();
    if (!uuid.empty() && uuid != job.uuid) {
      return refuse(job.name, {fmt::format("UUID: it is another guest of that name now, {}; the "
                                           "plan has {}",
                                           uuid, job.uuid)});
    }
    plan_guest(migrate_request(*question_.plan, job), job);
  }

  Plan plan_with(const MigrateRequest& request, const std::shared_ptr<Host>& target) {
    return plan_migration(request, {.source = host_,
                                    .target = target,
                                    .storage = &storage_,
                                    .observer = nullptr,
                                    .state_dir = default_state_dir(),
                                    .stop = context_.stop,
                                    .run_at_source = true});
  }

  std::shared_ptr<Host> target_of(const MigrateRequest& request) {
    if (!request.to_other_host()) {
      return host_;
    }
    std::shared_ptr<Host> target = targets_.at(request.to);
    if (target->facts().local && !survey_.facts.local) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = request.to,
                   .action = {},
                   .cause = "it means the host itself where " + survey_.facts.hostname + " uses it",
                   .hint = "name the target as its hosts reach it: qemu+ssh://HOST/system"});
    }
    return target;
  }

  void plan_guest(MigrateRequest request, FleetJob job) {
    const std::shared_ptr<Host> target = target_of(request);
    // Who works there is beside the images, which cannot be told from here.
    if (!survey_.facts.local || job.warm) {
      request.method = MigrateMethod::kStaged;
    }
    Plan plan = plan_with(request, target);
    std::string not_live;
    if (!plan.possible() && is_live(plan.method) && request.mode == MigrateMode::kAuto) {
      MigrateRequest offline = request;
      offline.mode = MigrateMode::kOffline;
      offline.method = MigrateMethod::kAuto;
      Plan other = plan_with(offline, target);
      if (other.possible()) {
        not_live = "it will be shut down: it cannot move live: " +
                   texts_of(plan, Check::Result::kFailed).front();
        plan = std::move(other);
      }
    }
    if (!plan.possible()) {
      return refuse(job.name, texts_of(plan, Check::Result::kFailed));
    }
    add(plan, std::move(job), not_live);
  }

  void add(const Plan& plan, FleetJob job, const std::string& not_live) {
    SurveyedGuest guest;
    job.host = survey_.facts.hostname;
    job.uuid = plan.uuid;
    job.target_host = job.to.empty() ? "" : plan.target_host.hostname;
    job.way = is_live(plan.method) ? MigrateMode::kLive : MigrateMode::kOffline;
    job.shut_down = job.shut_down && job.way == MigrateMode::kOffline && plan.was_running;
    job.snapshots = job.snapshots && job.way == MigrateMode::kOffline;
    job.disks.clear();
    job.data = 0;
    for (const MovingDisk& disk : plan.disks) {
      const auto base = plan.request.bases.find(disk.dev);
      job.disks.push_back({.dev = disk.dev,
                           .target = disk.volume,
                           .base = base == plan.request.bases.end() ? "" : base->second});
      const uint64_t data = std::min(disk.data, disk.size);
      job.data += data;
      guest.data[disk.volume.pool] += data;
      below(disk, guest.backing);
      if (!disk.overlay.empty()) {
        guest.overlays.push_back(disk.overlay);
      }
    }
    if (const std::string why = why_not_in_a_plan(job); !why.empty()) {
      return refuse(job.name, {"plan: " + why});
    }
    job.remarks = {fmt::format("{}, {} of data", plan.was_running ? "running" : "shut off",
                               about_bytes(job.data))};
    if (!not_live.empty()) {
      job.remarks.push_back(not_live);
    }
    for (const std::string& stays : plan.stays) {
      job.remarks.push_back("stays: " + stays);
    }
    guest.warnings = texts_of(plan, Check::Result::kWarning);
    guest.staged = plan.method == CopyMethod::kStaged;
    guest.job = std::move(job);
    survey_.guests.push_back(std::move(guest));
  }

  /// A definition of a domain that does not run mostly declares no chain: the headers tell, where
  /// they can be read. What cannot be told saves nothing, and is no reason to fail.
  void below(const MovingDisk& disk, std::set<std::string>& paths) {
    paths.insert(disk.image.backing.begin(), disk.image.backing.end());
    if (!survey_.facts.local || !disk.image.format.is_container()) {
      return;
    }
    try {
      const ImageParts parts = storage_.image_parts(disk.image);
      paths.insert(parts.backing.begin(), parts.backing.end());
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
    }
  }

  const HostQuestion& question_;
  const FleetContext& context_;
  MigrationStorage& storage_;
  TargetHosts& targets_;
  std::shared_ptr<Host> host_;
  HostSurvey survey_;
};

}  // namespace

std::shared_ptr<Host> TargetHosts::at(const std::string& uri) {
  const std::lock_guard guard(mutex_);
  const auto [at, is_new] = known_.try_emplace(uri);
  Known& known = at->second;
  if (is_new) {
    try {
      known.host = context_.connect(uri);
    } catch (const Error&) {
      known.failure = std::current_exception();
    }
  }
  if (known.failure) {
    std::rethrow_exception(known.failure);
  }
  return known.host;
}

HostSurvey survey_host(const HostQuestion& question, const FleetContext& context,
                       MigrationStorage& storage, TargetHosts& targets) {
  return HostSurveyor(question, context, storage, targets).ask();
}

}  // namespace vmferry::fleet
