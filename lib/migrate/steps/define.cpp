// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void Define::run() {
  if (target_.state() != DomainState::kAbsent &&
      !run_.misplaced(target_, DefinitionKind::kPersistent)) {
    return;
  }
  if (source_.state() != DomainState::kShutOff) {
    fail(ErrorKind::kConflict, source_.name(), "define it with its new disks",
         "the domain was started meanwhile");
  }
  run_.require_not_saved();
  target_.host().define(run_.definition_to_send());
}

void Define::undo() {
  if (target_.state() == DomainState::kAbsent ||
      run_.misplaced(target_, DefinitionKind::kPersistent)) {
    return;
  }
  const std::string action = "take the new definition back";
  // On one host it may have been started just before that definition was stored.
  const bool runs_old = !plan_.request.to_other_host() && target_.active() &&
                        run_.misplaced(target_, DefinitionKind::kLive);
  if (target_.active() && !runs_old) {
    fail(ErrorKind::kConflict, source_.name(), action, "the guest runs with it");
  }
  const bool runs_here = plan_.request.to_other_host() && source_.active();
  if (runs_here && journal_.noted(kStarted)) {
    run_.fail_divided(action);
  }
  if (!runs_here && !runs_old && (run_.is_recovery() || journal_.noted(kStarted))) {
    for (const MovingDisk& disk : plan_.disks) {
      if (!run_.still_equal(disk)) {
        fail(ErrorKind::kConflict, source_.name(), action,
             "the guest ran with it and wrote to " + run_.goal(disk),
             "finish the move: " + run_.recovery("--finish"));
      }
    }
  }
  journal_.forget(kStarted);
  if (plan_.request.to_other_host()) {
    target_.guest().undefine();
  } else {
    source_.host().define(
        run_.with_old_disks(source_.definition(DefinitionKind::kMigratablePersistent)));
  }
}

}  // namespace vmferry::migrate
