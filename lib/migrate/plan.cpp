// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/migrate/facts.h"
#include "lib/migrate/steps/steps.h"

namespace vmferry {
namespace migrate {
namespace {

/// A cautious guess where no limit was set (bytes a second): what a small cluster takes.
constexpr double kGuessedRate = 200e6;
/// What every live way takes beside its copying (seconds).
constexpr double kLiveOverhead = 5;

class Planner {
 public:
  Planner(const MigrateRequest& request, const Facts& facts, CopyMethod method)
      : request_(request),
        facts_(facts),
        method_(method),
        old_(request.to_files() ? "volumes" : "images"),
        fresh_(request.to_files() ? "files" : "volumes") {}

  Plan make() {
    plan_.request = request_;
    // "virsh's own" may mean another one to whoever recovers.
    if (request_.from.empty()) {
      plan_.request.from = facts_.source.uri;
    }
    plan_.uuid = facts_.live.uuid;
    plan_.source_host = {facts_.source.hostname, facts_.source.uuid};
    plan_.target_host = {facts_.target.hostname, facts_.target.uuid};
    plan_.method = method_;
    plan_.was_running =
        facts_.state == DomainState::kRunning || facts_.state == DomainState::kPaused;
    plan_.autostart = facts_.autostart;
    plan_.original_persistent = facts_.migratable_stored;
    for (const DiskFacts& disk : facts_.disks) {
      plan_.disks.push_back(disk.move);
    }
    plan_.stays = facts_.stays;
    plan_.checks = make_checks(request_, facts_, method_);
    steps();
    estimate();
    return std::move(plan_);
  }

 private:
  template <typename Work>
  void add(const std::string& text, const std::string& undo = {}) {
    plan_.steps.push_back(
        {.name = Work::kName, .text = text, .undo = undo, .no_return = in_words(Work::kNoReturn)});
  }

  void steps() {
    if (request_.define_secret && !request_.user.empty() && !request_.to_files()) {
      add<DefineSecret>("define the Ceph secret where the guest will need it");
    }
    switch (method_) {
      case CopyMethod::kOffline:
        offline();
        break;
      case CopyMethod::kStaged:
        staged();
        break;
      case CopyMethod::kMirrored:
        mirrored();
        break;
    }
    if (request_.delete_source) {
      add<DeleteSource>("remove the old " + old_);
    }
  }

  void offline() {
    if (plan_.was_running) {
      add<ShutDown>("shut the guest down", "start it again as it was");
    }
    add<CopyOffline>("copy the disks and compare what was written", "remove the " + fresh_);
    add<Define>("define the machine with its new disks",
                request_.to_other_host() ? "undefine it at the target" : "define it as it was");
    // From then on the target's definition is the one that may run.
    if (plan_.was_running) {
      add<Start>("start the guest");
    }
    add<CheckDefinitions>("read the definitions back");
    if (request_.to_other_host()) {
      retire_source();
    }
  }

  void staged() {
    add<Snapshot>("freeze the " + old_ + ": the guest writes to overlays",
                  "commit the overlays into the " + old_ + " again");
    add<CopyFrozen>("copy the frozen " + old_ + " and compare what was written",
                    "remove the " + fresh_);
    add<StageOverlays>("copy what the guest wrote meanwhile onto overlays of the " + fresh_,
                       "abort that copy");
    add<PivotOverlays>("switch the guest to the overlays of the " + fresh_);
    add<Commit>("commit those overlays into the " + fresh_ + " and switch to them");
    add<CheckDefinitions>("read both definitions back");
    add<RemoveOverlays>("remove the overlays");
    if (!request_.to_other_host()) {
      return;
    }
    add<MigrateShared>("migrate the guest to " + facts_.target.hostname);
    add<CheckDefinitions>("read both definitions back");
    retire_source();
  }

  void mirrored() {
    if (request_.to_other_host() && !request_.to_files()) {
      mirrored_away();
    } else {
      mirrored_here();
    }
  }

  void mirrored_here() {
    add<CreateVolumes>(request_.to_files() ? "make empty files" : "create the volumes",
                       "remove the " + fresh_);
    add<Mirror>("mirror the disks", "abort the mirrors");
    add<PivotMirrors>("switch the guest to its new disks");
    add<CheckDefinitions>("read both definitions back");
    if (!request_.to_files()) {
      add<Sparsify>("give back the zeros of the volumes");
    }
  }

  void mirrored_away() {
    add<CreateVolumes>("create the volumes", "remove the volumes");
    add<MigrateMirrored>("migrate the guest with its disks to " + facts_.target.hostname,
                         "abort: the guest stays where it is");
    add<CheckDefinitions>("read both definitions back");
    retire_source();
  }

  void retire_source() {
    add<UndefineSource>(request_.keep_source_definition
                            ? "switch the autostart of the old definition off"
                            : "undefine the machine at the source (its XML is kept)");
  }

  void estimate() {
    double data = 0;
    for (const MovingDisk& disk : plan_.disks) {
      data += static_cast<double>(std::min(disk.data, disk.size));
    }
    const double rate =
        request_.bandwidth != 0 ? static_cast<double>(request_.bandwidth) : kGuessedRate;
    plan_.expected_seconds = data / rate + (is_live(method_) ? kLiveOverhead : 0);
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  const CopyMethod method_;
  const std::string old_;    ///< what the disks are on now
  const std::string fresh_;  ///< what is made for them
  Plan plan_;
};

}  // namespace

Plan make_plan(const MigrateRequest& request, const Facts& facts) {
  return Planner(request, facts, choose_method(request, facts.state, facts.source)).make();
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
