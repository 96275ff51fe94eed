// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "lib/core/counted.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"
#include "vmferry/version.h"

namespace vmferry::cli {
namespace {

/// As for one migration: a cluster that does not answer within this is not one to move to
/// (seconds).
constexpr unsigned kPlanPatience = 10;
constexpr unsigned kMostWaves = 1'000'000;
/// What a new plan says: one broken host fails all of its guests, one after the other.
constexpr unsigned kStopAfterFailures = 3;

struct FleetPlanOptions {
  FleetRequest request;
  std::vector<std::string> monitors;
  std::vector<std::string> waves;
  bool sparsify = false;
  std::vector<std::string> workers;  ///< hosts whose workers sparsify
  std::optional<uint64_t> bandwidth;
  std::string check;   ///< the plan to check; empty: a new one is made
  std::string output;  ///< empty: standard output
  bool force = false;
  CephOptions ceph;
};

[[noreturn]] void refuse_fleet_usage(const std::string& what, const std::string& hint) {
  throw Error({.kind = ErrorKind::kUsage,
               .object = "fleet plan",
               .action = {},
               .cause = what,
               .hint = hint});
}

/// "web*=2".
FleetWaveRule parse_wave(const std::string& text) {
  const size_t equals = text.rfind('=');
  FleetWaveRule rule;
  if (equals != std::string::npos && equals != 0) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + equals + 1, end, rule.wave);
    if (error == std::errc() && stop == end && rule.wave >= 1 && rule.wave <= kMostWaves) {
      rule.pattern = text.substr(0, equals);
      return rule;
    }
  }
  refuse_fleet_usage("--wave " + text + " is no rule", "--wave 'web*=2' puts them into wave 2");
}

void complete_fleet(FleetPlanOptions& options) {
  FleetRequest& request = options.request;
  if (request.hosts.empty()) {
    refuse_fleet_usage("no host is named", "--connect qemu+ssh://HOST/system, once for each");
  }
  if (request.pool.empty()) {
    refuse_fleet_usage("no pool is named", "--pool POOL");
  }
  if (request.warm && request.rewrite_only) {
    refuse_fleet_usage("a warm move copies disks", "leave --way warm or --rewrite-only out");
  }
  for (const std::string& wave : options.waves) {
    request.waves.push_back(parse_wave(wave));
  }
  FleetCeph& ceph = request.ceph;
  ceph.id = options.ceph.id;
  for (const std::string& monitor : options.monitors) {
    ceph.monitors.push_back(parse_monitor(monitor));
  }
  const SecretName& secret = ceph.secret;
  if (!secret.uuid.empty() && !secret.usage.empty()) {
    refuse_fleet_usage("--secret-uuid and --secret-usage name one secret twice", "leave one out");
  }
  if (ceph.id.empty() && (ceph.define_secret || !secret.uuid.empty() || !secret.usage.empty())) {
    refuse_fleet_usage("a secret without a user", "--id USER names the Ceph user of the guests");
  }
  request.limits.bandwidth = options.bandwidth.value_or(0);
  request.limits.stop_after_failures = kStopAfterFailures;
}

std::unique_ptr<MigrationStorage> storage_for(Session& session, const FleetPlanOptions& options,
                                              const FleetCeph& ceph) {
  CephOptions reach = options.ceph;
  if (reach.id.empty()) {
    reach.id = ceph.id;
  }
  reach.timeout = kPlanPatience;
  RbdLayout layout;
  layout.data_pool = ceph.data_pool;
  return host_and_cluster({.ceph = reach,
                           .layout = layout,
                           .monitors = ceph.monitors,
                           .stop = session.stop(),
                           .before_making = {},
                           .notice = say_notice});
}

std::string refusals_text(const FleetSurvey& survey) {
  std::string text;
  for (const FleetRefusal& refusal : survey.refused) {
    for (const std::string& reason : refusal.reasons) {
      text += printable(fmt::format("refused: {} on {}: {}", refusal.guest, refusal.host, reason)) +
              "\n";
    }
  }
  return text;
}

std::string sums_text(const FleetSurvey& survey) {
  std::string text;
  for (const std::string& line : survey.sums) {
    text += printable(line) + "\n";
  }
  return text;
}

void say_troubles(const FleetSurvey& survey) {
  for (const std::string& trouble : survey.troubles) {
    say_line("vmferry: " + trouble);
  }
}

/// What a person reads first.
void introduce(FleetPlan& plan, bool sparsifies) {
  const std::vector<std::string> lines = {
      fmt::format("A plan to {}, made by vmferry {}, {}",
                  sparsifies ? "sparsify volumes" : "move guests to Ceph", kVersion,
                  utc_seconds(::time(nullptr))),
      sparsifies ? "Edit it (waves, limits, hosts; take volumes out), then:"
                 : "Edit it (ways, waves, limits, names of volumes; take guests out), then:",
      "  vmferry fleet plan --check FILE       asks all hosts again",
      "  vmferry fleet submit FILE --name NAME", ""};
  plan.head.insert(plan.head.begin(), lines.begin(), lines.end());
}

int deliver(Session& session, const FleetPlanOptions& options, FleetSurvey survey) {
  introduce(survey.plan, options.sparsify);
  const std::string text = write_plan(survey.plan);
  if (!survey.plan.jobs.empty()) {
    read_plan(text, "the new plan");  // what it does not take shall not come out later
  }
  say_troubles(survey);
  if (options.output.empty()) {
    print(text);
  } else {
    write_text_file(session, options.output, text, options.force);
    print_report(
        fmt::format("{}{} planned, {} refused, {} left out: {}\n", sums_text(survey),
                    counted(survey.plan.jobs.size(), options.sparsify ? "volume" : "guest"),
                    survey.refused.size(), survey.left_out.size(), printable(options.output)),
        "the plan is written");
  }
  return survey.troubles.empty() && !survey.plan.jobs.empty() ? 0 : 1;
}

int make(Session& session, FleetPlanOptions& options) {
  complete_fleet(options);
  const auto storage = storage_for(session, options, options.request.ceph);
  return deliver(session, options,
                 plan_fleet(options.request, {.storage = storage.get(), .stop = session.stop()}));
}

int check_again(Session& session, const FleetPlanOptions& options) {
  const FleetPlan plan = read_plan(read_text_file(options.check, kMaxPlanBytes),
                                   options.check == "-" ? "standard input" : options.check);
  const auto storage = storage_for(session, options, plan.ceph);
  const FleetSurvey survey = check_fleet(plan, {.storage = storage.get(), .stop = session.stop()});
  say_troubles(survey);
  const bool sparsifies = plan.jobs.front().task == FleetTask::kSparsify;
  print(fmt::format("{}{}{} of {} {} as planned\n", refusals_text(survey), sums_text(survey),
                    survey.plan.jobs.size(), plan.jobs.size(),
                    sparsifies ? "volumes can be sparsified" : "guests can move"));
  return survey.troubles.empty() && survey.plan.jobs.size() == plan.jobs.size() ? 0 : 1;
}

/// Throws for any option that was given and is none of these.
void require_only(const CLI::App& app, const std::set<std::string>& together,
                  const std::string& what, const std::string& hint) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() != 0 && !together.contains(option->get_name())) {
      refuse_fleet_usage(option->get_name() + what, hint);
    }
  }
}

/// How this machine reaches the cluster may be said beside it.
void require_only_check(const CLI::App& app) {
  require_only(app, {"--check", "--ceph-conf", "--keyring", "--cluster"}, " is for a new plan",
               "with --check all that is in the plan counts");
}

int make_sparsify(Session& session, const FleetPlanOptions& options, const CLI::App& app) {
  require_only(app,
               {"--sparsify", "--pool", "--host", "--jobs", "--id", "--ceph-conf", "--keyring",
                "--cluster", "--output", "--force"},
               " is for a plan that moves guests", "leave it out, or --sparsify");
  if (options.request.pool.empty() || options.workers.empty()) {
    refuse_fleet_usage("--sparsify needs a pool and a host",
                       "--pool POOL, and --host HOST for each host whose worker shall do it");
  }
  FleetSparsifyRequest request;
  request.pool = options.request.pool;
  request.hosts = options.workers;
  request.ceph.id = options.ceph.id;
  request.limits = options.request.limits;
  const auto storage = storage_for(session, options, request.ceph);
  FleetSurvey survey = plan_sparsify(request, {.storage = storage.get(), .stop = session.stop()});
  return deliver(session, options, std::move(survey));
}

void add_choice(CLI::App& app, FleetPlanOptions& options) {
  static const std::map<std::string, MigrateMode> kWayNames = {{"auto", MigrateMode::kAuto},
                                                               {"live", MigrateMode::kLive},
                                                               {"offline", MigrateMode::kOffline}};
  FleetRequest& request = options.request;
  app.add_option("--connect", request.hosts, "libvirt of a host that has guests; may be repeated")
      ->type_name("URI")
      ->allow_extra_args(false);
  app.add_option("--pool", request.pool, "Pool for the volumes")->type_name("POOL");
  app.add_option("--guest", request.guests,
                 "Only this guest; may be repeated (default: all that are persistent)")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--to", request.to,
                 "libvirt of the host that shall run them, as their hosts reach it (default: the "
                 "same)")
      ->type_name("URI");
  app.add_option_function<std::string>(
         "--way",
         [&request](const std::string& name) {
           request.warm = name == "warm";
           request.way = request.warm ? MigrateMode::kAuto : kWayNames.at(name);
         },
         "auto, live, offline, or warm: synchronised first, cut over later (default: live if it "
         "runs and that is possible)")
      ->check(CLI::IsMember({"auto", "live", "offline", "warm"}))
      ->type_name("WAY");
  app.add_flag("--rewrite-only", request.rewrite_only,
               "The volumes are copies already: only definitions change, of guests that are off");
  app.add_flag("--snapshots", request.snapshots,
               "Snapshots inside of the images of guests that move offline go along")
      ->excludes("--rewrite-only");
  app.add_option("--wave", options.waves,
                 "Guests whose names fit GLOB move in wave N, if no earlier --wave fits; may be "
                 "repeated")
      ->type_name("GLOB=N")
      ->allow_extra_args(false);
  app.add_option("--wave-size", request.wave_size,
                 "So many of the other guests move in each wave (default: all in the first)")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--name-template", request.name_template,
                 "Names of the volumes, from {domain}, {uuid} and {dev} (default: {domain}-{dev})")
      ->type_name("TEMPLATE");
  app.add_option("--data-pool", request.ceph.data_pool, "Pool for the data of the volumes")
      ->type_name("POOL");
  add_size_option(app, "--bandwidth", options.bandwidth,
                  "Bytes a second for all that move, together (default: no limit)");
  app.add_option("--jobs", request.limits.jobs, "Guests that move at once (default: 4)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, 100'000));
  CLI::Option* output =
      app.add_option("-o,--output", options.output, "The plan's file (default: standard output)")
          ->type_name("FILE");
  app.add_flag("--force", options.force, "Replace that file if it exists")->needs(output);
}

void add_reach(CLI::App& app, FleetPlanOptions& options) {
  const char* group = "How the guests reach the cluster";
  FleetCeph& ceph = options.request.ceph;
  app.add_option("--monitor", options.monitors,
                 "HOST[:PORT] of a monitor; may be repeated (default: the --ceph-conf of the host)")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--secret-uuid", ceph.secret.uuid, "libvirt secret with the key of --id")
      ->type_name("UUID")
      ->group(group);
  app.add_option("--secret-usage", ceph.secret.usage,
                 "The same by its usage name (default: 'client.ID secret')")
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--define-secret", ceph.define_secret,
               "Create or update that secret from the keyring, on each host that needs it")
      ->group(group);
}

}  // namespace

std::function<int(Session&)> add_fleet_plan(CLI::App& app) {
  auto options = std::make_shared<FleetPlanOptions>();
  add_choice(app, *options);
  app.add_option("--check", options->check, "Ask all hosts again for the plan in FILE")
      ->type_name("FILE");
  app.add_flag("--sparsify", options->sparsify,
               "A plan to sparsify every volume of --pool, not to move guests");
  app.add_option("--host", options->workers,
                 "With --sparsify: a host whose worker does it, as 'fleet work' calls it; may be "
                 "repeated")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->needs("--sparsify");
  add_reach(app, *options);
  add_cluster_options(app, options->ceph);
  app.footer(
      "Examples:\n"
      "  vmferry fleet plan --connect qemu+ssh://h1/system --connect qemu+ssh://h2/system \\\n"
      "    --pool vms --id libvirt --define-secret --bandwidth 400M -o plan.toml\n"
      "  vmferry fleet plan --check plan.toml\n"
      "  vmferry fleet plan --sparsify --pool vms --host h1 --host h2 -o plan.toml\n"
      "\nSee vmferry-fleet(1).");
  return [options, &app](Session& session) {
    if (options->sparsify) {
      return make_sparsify(session, *options, app);
    }
    if (options->check.empty()) {
      return make(session, *options);
    }
    require_only_check(app);
    return check_again(session, *options);
  };
}

}  // namespace vmferry::cli
