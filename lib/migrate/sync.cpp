// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "lib/migrate/facts.h"
#include "lib/migrate/planned_steps.h"
#include "lib/migrate/rehearsal_traces.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// The runs of a warm move as plans. It is the staged way, cut where the guest may stay for as long
// as its owner wants: on an overlay over what the volumes hold.

namespace vmferry {
namespace migrate {
namespace {

template <typename Work>
Step step_of(const std::string& text, const std::string& undo = {}) {
  return {.name = Work::kName, .text = text, .undo = undo, .no_return = in_words(Work::kNoReturn)};
}

using SyncSteps = std::vector<Step>;

SyncSteps first_steps(const MigrateRequest& request) {
  SyncSteps steps;
  if (request.define_secret && !request.user.empty()) {
    steps.push_back(step_of<DefineSecret>("define the Ceph secret where the guest will need it"));
  }
  steps.push_back(step_of<Snapshot>("freeze the images: the guest writes to overlays",
                                    "commit the overlays into the images again"));
  steps.push_back(step_of<CopyFrozen>("copy the frozen images and compare what was written",
                                      "remove the volumes"));
  steps.push_back(step_of<MarkVolumes>("keep it as a snapshot of each volume"));
  steps.push_back(step_of<KeepState>("write down what the volumes hold"));
  return steps;
}

SyncSteps later_steps(unsigned round) {
  return {
      step_of<Snapshot>("freeze what was written since: the guest writes to new overlays",
                        "commit the new overlays into those below"),
      step_of<CopyFrozen>("copy what was written since and compare it"),
      step_of<MarkVolumes>("keep it as a snapshot of each volume",
                           "remove the snapshots " + sync_mark(round)),
      step_of<KeepState>("write down what the volumes hold"),
      step_of<CommitLayers>("commit what was copied into the images"),
      step_of<RemoveLayers>("remove the overlays that are committed"),
  };
}

bool leaves_volumes(const std::vector<MovingDisk>& disks) {
  return std::any_of(disks.begin(), disks.end(),
                     [](const MovingDisk& disk) { return disk.image.volume.has_value(); });
}

/// Of volumes: the first sync and the later ones. Each snapshot is of a moment of its own, unless
/// the guest is on overlays while they are made.
SyncSteps volume_steps(const Plan& plan) {
  const bool is_first = plan.round == 1;
  SyncSteps steps;
  if (is_first && plan.request.define_secret && !plan.request.user.empty()) {
    steps.push_back(step_of<DefineSecret>("define the Ceph secret where the guest will need it"));
  }
  const bool freezes = plan.request.quiesce || plan.disks.size() > 1;
  if (freezes) {
    steps.push_back(step_of<Snapshot>("freeze the volumes: the guest writes to overlays",
                                      "commit the overlays into the volumes again"));
  }
  const std::string mark = sync_mark(plan.round);
  steps.push_back(step_of<MarkOld>("make the snapshot " + mark + " of each old volume",
                                   "remove those snapshots"));
  if (freezes) {
    steps.push_back(step_of<Unfreeze>("commit the overlays into the volumes, and remove them"));
  }
  steps.push_back(is_first ? step_of<CopyMarked>("copy the snapshots and compare what was written",
                                                 "remove the new volumes")
                           : step_of<CopyMarked>("copy what is new in them and compare it"));
  steps.push_back(is_first ? step_of<MarkVolumes>("keep it as a snapshot of each new volume")
                           : step_of<MarkVolumes>("keep it as a snapshot of each new volume",
                                                  "remove the snapshots " + mark));
  steps.push_back(step_of<KeepState>("write down what the new volumes hold"));
  if (!is_first) {
    steps.push_back(step_of<RemoveOldMarks>("remove the snapshots of the sync before"));
  }
  return steps;
}

/// Once its disks are on the volumes, a guest that runs needs the old ones no more: the warm move
/// ends here, also if the guest cannot leave.
SyncSteps live_cutover_steps(const Plan& plan, bool from_volumes) {
  const MigrateRequest& request = plan.request;
  SyncSteps steps;
  if (request.define_secret && !request.user.empty()) {
    steps.push_back(step_of<DefineSecret>("define the Ceph secret where the guest needs it"));
  }
  if (from_volumes) {
    steps.push_back(step_of<Snapshot>("freeze the volumes: the guest writes to overlays",
                                      "commit the overlays into the volumes again"));
    steps.push_back(step_of<CopyFrozen>("copy what is new since the sync and compare it"));
  }
  steps.push_back(step_of<StageOverlays>(
      from_volumes ? "copy what the guest wrote meanwhile onto overlays of the new volumes"
                   : "copy what the guest wrote since the sync onto overlays of the volumes",
      "abort that copy"));
  steps.push_back(step_of<PivotOverlays>("switch the guest to the overlays of the volumes"));
  steps.push_back(step_of<Commit>("commit those overlays into the volumes and switch to them"));
  steps.push_back(step_of<CheckDefinitions>("read both definitions back"));
  steps.push_back(step_of<RemoveOverlays>("remove the overlays"));
  steps.push_back(step_of<EndWarmMove>("remove the snapshots of the syncs, and end the warm move"));
  if (request.to_other_host()) {
    for (Step& step : leaving_steps(request, plan.target_host.hostname)) {
      steps.push_back(std::move(step));
    }
  }
  if (request.delete_source) {
    steps.push_back(step_of<DeleteSource>("remove the old disks"));
  }
  return steps;
}

/// To another host the warm move ends only when nobody can start the guest here any more.
SyncSteps offline_cutover_steps(const MigrateRequest& request, bool was_running) {
  const bool away = request.to_other_host();
  SyncSteps steps;
  if (request.define_secret && !request.user.empty()) {
    steps.push_back(step_of<DefineSecret>("define the Ceph secret where the guest needs it"));
  }
  if (was_running) {
    steps.push_back(step_of<ShutDown>("shut the guest down", "start it again as it was"));
  }
  steps.push_back(step_of<CopyOffline>("copy what was written since the sync and compare it"));
  steps.push_back(step_of<Define>("define the machine with its new disks",
                                  away ? "undefine it at the target" : "define it as it was"));
  if (was_running) {
    steps.push_back(step_of<Start>("start the guest"));
  }
  steps.push_back(step_of<CheckDefinitions>("read the definitions back"));
  if (away) {
    steps.push_back(retiring_step(request));
  }
  steps.push_back(step_of<EndWarmMove>("remove the snapshots of the syncs, and end the warm move"));
  if (request.delete_source) {
    steps.push_back(step_of<DeleteSource>("remove the old disks"));
  }
  return steps;
}

SyncState state_of(const MigrateRequest& request, const MigrateContext& context) {
  std::optional<SyncState> state = read_sync_state(request.domain, context.state_dir);
  if (state) {
    return std::move(*state);
  }
  throw Error({.kind = ErrorKind::kNotFound,
               .object = "domain " + request.domain,
               .action = {},
               .cause = "it is in no warm move",
               .hint = "begin one with vmferry sync, or name the --state-dir that it has"});
}

Error gone_for_good(const SyncState& state, const MigrateContext& context) {
  return Error({.kind = ErrorKind::kNotFound,
                .object = "domain " + state.request.domain,
                .action = "give its warm move up",
                .cause = "it is not defined any more",
                .hint = "define it again, with its disks as they were, and try again; or if it is "
                        "gone for good, remove by hand its volumes, the snapshots vmferry-sync-* "
                        "of volumes that it was on, its overlays, and " +
                        sync_state_path(state.request.domain, context.state_dir)});
}

/// The disks of the warm move, and no others.
MigrateRequest about_its_disks(MigrateRequest request, const SyncState& state) {
  request.disks.clear();
  for (const SyncedDisk& disk : state.disks) {
    request.disks[disk.dev] = disk.volume;
  }
  return request;
}

Plan warm_plan(const MigrateRequest& request, const MigrateContext& context, WarmRun warm) {
  const RunKind kind = warm.kind;
  const unsigned round = warm.round;
  Plan plan = make_plan(request, gather_facts(request, context, std::move(warm)));
  plan.kind = kind;
  plan.round = round;
  if (kind == RunKind::kCutover) {
    for (Check& check : check_rehearsed(request.domain, context.state_dir)) {
      plan.checks.push_back(std::move(check));
    }
  }
  return plan;
}

bool leaves_volumes(const SyncState& state) {
  return std::any_of(state.disks.begin(), state.disks.end(),
                     [](const SyncedDisk& disk) { return disk.image.volume.has_value(); });
}

/// Where the guest is on the overlay of the last sync when the run begins.
MovingDisk overlaid(const SyncedDisk& disk) {
  return {.dev = disk.dev,
          .original = disk.original,
          .image = disk.image,
          .volume = disk.volume,
          .size = disk.size,
          .data = 0,
          .overlay = disk.overlay,
          .bridge = {}};
}

/// The definition of now with the disks that it had before the warm move: what is over them is gone
/// after a live cutover.
std::string on_first_disks(const std::string& definition, const SyncState& state) {
  std::vector<std::string> devs;
  for (const SyncedDisk& disk : state.disks) {
    devs.push_back(disk.dev);
  }
  return restore_disks(parse_domain(definition, "the persistent definition"),
                       parse_domain(state.original_persistent, "the old definition"), devs);
}

}  // namespace
}  // namespace migrate

MigrateRequest next_request(const SyncState& state, const MigrateRequest& given) {
  MigrateRequest request = state.request;
  const auto take = [](auto& old, const auto& fresh, const auto& unset) {
    if (fresh != unset) {
      old = fresh;
    }
  };
  const MigrateRequest unset;
  take(request.from, given.from, unset.from);
  take(request.uuid, given.uuid, unset.uuid);
  take(request.overlay_dir, given.overlay_dir, unset.overlay_dir);
  take(request.overlay_max, given.overlay_max, unset.overlay_max);
  take(request.bandwidth, given.bandwidth, unset.bandwidth);
  take(request.timeout, given.timeout, unset.timeout);
  take(request.shutdown_timeout, given.shutdown_timeout, unset.shutdown_timeout);
  request.to = given.to;
  request.listen_address = given.listen_address;
  request.migration_uri = given.migration_uri;
  request.tls = given.tls;
  request.parallel = given.parallel;
  request.auto_converge = given.auto_converge;
  request.max_downtime_ms = given.max_downtime_ms;
  request.keep_source_definition = given.keep_source_definition;
  request.define_secret = request.define_secret || given.define_secret;
  request.quiesce = request.quiesce || given.quiesce;
  request.force_off = request.force_off || given.force_off;
  request.delete_source = given.delete_source;
  request.mode = given.mode;
  return request;
}

Plan plan_sync(const MigrateRequest& asked, const MigrateContext& context) {
  using namespace migrate;  // NOLINT(google-build-using-namespace)
  std::optional<SyncState> state = read_sync_state(asked.domain, context.state_dir);
  MigrateRequest request = state ? about_its_disks(next_request(*state, asked), *state) : asked;
  request.mode = MigrateMode::kLive;
  if (request.method == MigrateMethod::kAuto) {
    request.method = MigrateMethod::kStaged;
  }
  const unsigned round = state ? state->last().number + 1 : 1;
  const bool is_first = !state;
  Plan plan = warm_plan(request, context,
                        {.kind = RunKind::kSync, .round = round, .state = std::move(state)});
  plan.steps = leaves_volumes(plan.disks) ? volume_steps(plan)
               : is_first                 ? first_steps(request)
                                          : later_steps(round);
  return plan;
}

Plan plan_cutover(const MigrateRequest& asked, const MigrateContext& context, bool before_sync) {
  using namespace migrate;  // NOLINT(google-build-using-namespace)
  const SyncState state = state_of(asked, context);
  MigrateRequest request = about_its_disks(next_request(state, asked), state);
  const bool is_off = context.source->guest(request.domain)->state() == DomainState::kShutOff;
  const bool offline = is_off || request.mode == MigrateMode::kOffline;
  request.mode = offline ? MigrateMode::kOffline : MigrateMode::kLive;
  request.method = MigrateMethod::kStaged;
  const bool from_volumes = leaves_volumes(state);
  const bool keeps_old = offline && !from_volumes;
  const bool old_stays = request.delete_source && keeps_old;
  request.delete_source = request.delete_source && !keeps_old;
  const unsigned round = state.last().number;
  Plan plan = warm_plan(
      request, context,
      {.kind = RunKind::kCutover, .round = round, .state = state, .before_sync = before_sync});
  if (offline) {
    plan.steps = offline_cutover_steps(request, plan.was_running);
    if (old_stays) {
      plan.checks.push_back(
          {.name = "old disks",
           .result = asked.mode == MigrateMode::kOffline ? Check::Result::kFailed
                                                         : Check::Result::kWarning,
           .message = "they stay, though they were to be deleted: what the guest wrote last is in "
                      "overlays over them, which an offline cutover leaves there",
           .hint = "leave --delete-source out, and remove both by hand; the report names them"});
    }
    return plan;
  }
  plan.steps = live_cutover_steps(plan, from_volumes);
  if (from_volumes) {
    return plan;
  }
  if (request.to_other_host()) {
    plan.original_persistent = on_first_disks(plan.original_persistent, state);
  }
  for (MovingDisk& disk : plan.disks) {
    for (const SyncedDisk& synced : state.disks) {
      if (synced.dev == disk.dev) {
        const std::string bridge = disk.bridge;
        disk = overlaid(synced);
        disk.bridge = bridge;
        disk.data = context.storage->file_allocation(synced.image.path);
      }
    }
  }
  return plan;
}

Plan plan_sync_stop(const MigrateRequest& asked, bool remove_volumes,
                    const MigrateContext& context) {
  using namespace migrate;  // NOLINT(google-build-using-namespace)
  const SyncState state = state_of(asked, context);
  const std::shared_ptr<Guest> guest = context.source->guest(asked.domain);
  if (guest->state() == DomainState::kAbsent) {
    throw gone_for_good(state, context);
  }
  // The cluster may be gone for good: it is not asked unless volumes of it shall go.
  Plan plan;
  plan.kind = RunKind::kStop;
  plan.round = state.last().number;
  plan.request = next_request(state, asked);
  plan.uuid = state.uuid;
  plan.source_host = plan.target_host = state.host;
  plan.method = CopyMethod::kStaged;
  plan.was_running = guest->state() != DomainState::kShutOff;
  plan.original_persistent = guest->definition(DefinitionKind::kMigratablePersistent);
  for (const SyncedDisk& disk : state.disks) {
    plan.disks.push_back(overlaid(disk));
  }
  const Domain live =
      parse_domain(guest->definition(DefinitionKind::kLive), "domain " + asked.domain);
  plan.checks = check_may_stop(state, live, context.source->facts(), *context.storage);
  if (!leaves_volumes(state)) {
    plan.steps = {step_of<CommitBack>("commit the overlays into the images, and go back to those"),
                  step_of<RemoveOverlays>("remove the overlays")};
  }
  if (remove_volumes) {
    for (Check& check : check_may_remove(state, context)) {
      check.hint += check.hint.empty() ? "" : "; or ";
      check.hint += "leave --remove-volumes out: they stay then";
      plan.checks.push_back(std::move(check));
    }
    plan.steps.push_back(step_of<RemoveVolumes>("remove the volumes"));
  }
  plan.steps.push_back(step_of<EndWarmMove>("end the warm move"));
  return plan;
}

}  // namespace vmferry
