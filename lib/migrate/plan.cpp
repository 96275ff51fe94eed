// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "lib/migrate/facts.h"
#include "lib/migrate/planned_steps.h"
#include "lib/migrate/steps/steps.h"

namespace vmferry {
namespace migrate {
namespace {

/// A cautious guess where no limit was set (bytes a second): what a small cluster takes.
constexpr double kGuessedRate = 200e6;
/// What every live way takes beside its copying (seconds).
constexpr double kLiveOverhead = 5;

std::string old_disks(const MigrateRequest& request, const Facts& facts) {
  const auto is_volume = [](const DiskFacts& disk) { return disk.move.image.volume.has_value(); };
  if (request.to_files()) {
    return "volumes";
  }
  if (std::none_of(facts.disks.begin(), facts.disks.end(), is_volume)) {
    return "images";
  }
  const bool all = std::all_of(facts.disks.begin(), facts.disks.end(), is_volume);
  return all ? "volumes" : "disks";
}

/// What the texts of steps are about.
struct WayFacts {
  WayFacts(const MigrateRequest& a_request, const Facts& facts)
      : request(a_request),
        target_host(facts.target.hostname),
        was_running(facts.state == DomainState::kRunning || facts.state == DomainState::kPaused),
        forgets(!facts.known_snapshots.empty()),
        old(old_disks(request, facts)),
        fresh(request.to_files() ? "files"
              : old == "images"  ? "volumes"
                                 : "new volumes") {}

  const MigrateRequest& request;
  const std::string target_host;
  const bool was_running;
  const bool forgets;       ///< libvirt knows of snapshots that move
  const std::string old;    ///< what the disks are on now
  const std::string fresh;  ///< what is made for them
};

using Steps = std::vector<Step>;

Steps offline(const WayFacts& way) {
  const bool away = way.request.to_other_host();
  Steps steps;
  if (way.was_running) {
    steps.push_back(planned<ShutDown>("shut the guest down", "start it again as it was"));
  }
  steps.push_back(way.request.rewrite_only
                      ? planned<CopyOffline>("compare the volumes with the disks")
                      : planned<CopyOffline>("copy the disks and compare what was written",
                                             "remove the " + way.fresh));
  if (way.forgets) {
    steps.push_back(planned<ForgetSnapshots>(
        "save what libvirt knows of the snapshots, and take it from libvirt",
        "tell libvirt of the snapshots again"));
  }
  steps.push_back(planned<Define>("define the machine with its new disks",
                                  away ? "undefine it at the target" : "define it as it was"));
  // From then on the target's definition is the one that may run.
  if (way.was_running) {
    steps.push_back(planned<Start>("start the guest"));
  }
  steps.push_back(planned<CheckDefinitions>("read the definitions back"));
  if (away) {
    steps.push_back(retiring_step(way.request));
  }
  return steps;
}

Steps staged(const WayFacts& way) {
  Steps steps = {
      planned<Snapshot>("freeze the " + way.old + ": the guest writes to overlays",
                        "commit the overlays into the " + way.old + " again"),
      planned<CopyFrozen>("copy the frozen " + way.old + " and compare what was written",
                          "remove the " + way.fresh),
      planned<StageOverlays>(
          "copy what the guest wrote meanwhile onto overlays of the " + way.fresh,
          "abort that copy"),
      planned<PivotOverlays>("switch the guest to the overlays of the " + way.fresh),
      planned<Commit>("commit those overlays into the " + way.fresh + " and switch to them"),
      planned<CheckDefinitions>("read both definitions back"),
      planned<RemoveOverlays>("remove the overlays"),
  };
  if (way.request.to_other_host()) {
    for (Step& step : leaving_steps(way.request, way.target_host)) {
      steps.push_back(std::move(step));
    }
  }
  return steps;
}

Steps mirrored_here(const WayFacts& way) {
  const bool to_files = way.request.to_files();
  Steps steps = {
      planned<CreateVolumes>(to_files ? "make empty files" : "create the volumes",
                             "remove the " + way.fresh),
      planned<Mirror>("mirror the disks", "abort the mirrors"),
      planned<PivotMirrors>("switch the guest to its new disks"),
      planned<CheckDefinitions>("read both definitions back"),
  };
  if (!to_files) {
    steps.push_back(planned<Sparsify>("give back the zeros of the volumes"));
  }
  return steps;
}

Steps mirrored_away(const WayFacts& way) {
  return {
      planned<CreateVolumes>("create the volumes", "remove the volumes"),
      planned<MigrateMirrored>("migrate the guest with its disks to " + way.target_host,
                               "abort: the guest stays where it is"),
      planned<CheckDefinitions>("read both definitions back"),
      retiring_step(way.request),
  };
}

Steps way_of(CopyMethod method, const WayFacts& way) {
  switch (method) {
    case CopyMethod::kOffline:
      return offline(way);
    case CopyMethod::kStaged:
      return staged(way);
    case CopyMethod::kMirrored:
      break;
  }
  const bool away = way.request.to_other_host() && !way.request.to_files();
  return away ? mirrored_away(way) : mirrored_here(way);
}

Steps all_steps(CopyMethod method, const WayFacts& way) {
  const MigrateRequest& request = way.request;
  Steps steps = way_of(method, way);
  if (request.define_secret && !request.user.empty() && !request.to_files()) {
    steps.insert(steps.begin(),
                 planned<DefineSecret>("define the Ceph secret where the guest will need it"));
  }
  if (request.delete_source) {
    steps.push_back(planned<DeleteSource>("remove the old " + way.old));
  }
  return steps;
}

double estimate(const Plan& plan) {
  double data = 0;
  for (const MovingDisk& disk : plan.disks) {
    if (!disk.first_image || !disk.image.volume) {  // else the most of it is there
      data += static_cast<double>(std::min(disk.data, disk.size));
    }
  }
  const uint64_t limit = plan.request.bandwidth;
  const double rate = limit != 0 ? static_cast<double>(limit) : kGuessedRate;
  return data / rate + (is_live(plan.method) ? kLiveOverhead : 0);
}

}  // namespace

Plan make_plan(const MigrateRequest& request, const Facts& facts) {
  const WayFacts way(request, facts);
  Plan plan;
  plan.request = request;
  // "virsh's own" may mean another one to whoever recovers.
  if (request.from.empty()) {
    plan.request.from = facts.source.uri;
  }
  plan.uuid = facts.live.uuid;
  plan.source_host = {facts.source.hostname, facts.source.uuid};
  plan.target_host = {facts.target.hostname, facts.target.uuid};
  plan.method = choose_method(request, facts.state, facts.source);
  plan.was_running = way.was_running;
  plan.autostart = facts.autostart;
  plan.original_persistent = facts.migratable_stored;
  for (const DiskFacts& disk : facts.disks) {
    plan.disks.push_back(disk.move);
  }
  plan.stays = facts.stays;
  for (const DomainSnapshot& snapshot : facts.known_snapshots) {
    plan.snapshots.push_back(snapshot.name);
  }
  plan.checks = make_checks(request, facts, plan.method);
  plan.steps = all_steps(plan.method, way);
  plan.expected_seconds = estimate(plan);
  return plan;
}

}  // namespace migrate

bool Plan::possible() const {
  return std::none_of(checks.begin(), checks.end(),
                      [](const Check& check) { return check.result == Check::Result::kFailed; });
}

Plan plan_migration(const MigrateRequest& request, const MigrateContext& context) {
  return migrate::make_plan(request, migrate::gather_facts(request, context));
}

}  // namespace vmferry
