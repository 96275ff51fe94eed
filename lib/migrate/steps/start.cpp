// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void Start::run() {
  run_.clear_half_started();
  if (target_.state() == DomainState::kShutOff) {
    if (plan_.request.to_other_host() && source_.active()) {
      fail(ErrorKind::kConflict, source_.name(), "start",
           "it was started on the old host meanwhile");
    }
    journal_.note(kStarted);
    try {
      target_.guest().start(false);
    } catch (const Error&) {
      if (!target_.active()) {
        throw;
      }
    }
    run_.came_back();
  }
  if (!target_.active()) {
    fail(ErrorKind::kIo, source_.name(), "start", "it does not run although libvirt started it",
         "QEMU's log tells why: /var/log/libvirt/qemu/" + source_.name() + ".log");
  }
  if (target_.guest().starting()) {
    fail(ErrorKind::kConflict, source_.name(), "start", "libvirt has not ended its start",
         "once it runs or is off (virsh domstate --reason): " + run_.recovery());
  }
}

}  // namespace vmferry::migrate
