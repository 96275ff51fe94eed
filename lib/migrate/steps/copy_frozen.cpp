// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/blocking_call.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void CopyFrozen::run() {
  const std::optional<Clock::time_point> deadline = run_.deadline();
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOverlay) == Place::kOverlay) {  // else it is past this
      copy(disk, deadline);
    }
  }
}

void CopyFrozen::copy(const MovingDisk& disk, std::optional<Clock::time_point> deadline) {
  // The copier blocks; the overlays grow meanwhile. This scope outlives the call in every case.
  std::stop_source stop;
  BlockingCall copying([this, &disk, token = stop.get_token()] { run_.copy_disk(disk, token); });
  std::exception_ptr trouble;
  while (!copying.wait(context_.patience.watch)) {
    if (stop.stop_requested()) {
      continue;
    }
    try {
      source_.throw_if_stopped();
      run_.watch_overlays();
      if (deadline && source_.now() > *deadline) {
        fail(ErrorKind::kIo, source_.name(), "copy " + disk.dev, "not done within --timeout");
      }
    } catch (...) {
      trouble = std::current_exception();
      stop.request_stop();
    }
  }
  if (trouble) {
    std::rethrow_exception(trouble);
  }
  copying.result();
}

}  // namespace vmferry::migrate
