// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void CopyOffline::run() {
  for (const MovingDisk& disk : plan_.disks) {
    // On one host, the definition tells what an active domain runs with.
    const bool started_again = plan_.request.to_other_host() && source_.active();
    if (started_again && journal_.noted(kStarted)) {
      run_.fail_divided("copy " + disk.dev);
    }
    if (!started_again && in_use_at_goal(disk)) {
      continue;
    }
    if (source_.state() != DomainState::kShutOff) {
      fail(ErrorKind::kConflict, source_.name(), "copy " + disk.dev,
           "the domain was started meanwhile");
    }
    run_.require_not_saved();
    run_.copy_disk(disk, context_.stop);
  }
}

bool CopyOffline::in_use_at_goal(const MovingDisk& disk) const {
  if (target_.state() == DomainState::kAbsent ||
      target_.place(disk, DefinitionKind::kPersistent) != Place::kTarget) {
    return false;
  }
  // Here the old definition is gone. There, both can be started: the guest must not lose what it
  // wrote on either side. Who started it there was us, or else nobody can tell.
  if (plan_.request.to_other_host() && !target_.active() && !journal_.noted(kStarted) &&
      source_.state() != DomainState::kAbsent && !run_.still_equal(disk)) {
    run_.fail_divided("copy " + disk.dev);
  }
  return true;
}

}  // namespace vmferry::migrate
