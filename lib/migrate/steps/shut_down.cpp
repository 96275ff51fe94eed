// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void ShutDown::run() {
  if (run_.turned()) {
    return;
  }
  // It was started here again after it had been defined there: what waits there is of no use.
  if (plan_.request.to_other_host() && source_.active()) {
    Define(run_).undo();
  }
  if (source_.active()) {
    journal_.note(kAskedOff);
    run_.goes_off();
  }
  const bool off = source_.shut_down(plan_.request.shutdown_timeout);
  journal_.forget(kAskedOff);
  if (off) {
    return;
  }
  if (!plan_.request.force_off) {
    fail(ErrorKind::kIo, source_.name(), "shut down", "the guest did not within --shutdown-timeout",
         "it may have ignored the power button: shut it down from within, or allow --force-off");
  }
  source_.guest().destroy();
}

void ShutDown::undo() {
  if (!plan_.was_running) {
    return;
  }
  // The power button cannot be taken back: a guest that has not gone off yet may do so later.
  if (journal_.noted(kAskedOff) && source_.active()) {
    context_.observer->warning(
        "the guest was asked to shut down: waiting for that, to start it again");
    source_.wait_until_off(plan_.request.shutdown_timeout);
  }
  if (source_.state() == DomainState::kShutOff) {
    journal_.note(kStartedOld);
    source_.guest().start(false);
    journal_.forget(kStartedOld);
  }
  journal_.forget(kAskedOff);
}

}  // namespace vmferry::migrate
