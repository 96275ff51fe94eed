// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/blocking_call.h"
#include "lib/migrate/steps/rungs.h"
#include "lib/migrate/steps/steps.h"
#include "lib/transfer/less_each_time.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void CopyFrozen::run() {
  const std::optional<Clock::time_point> deadline = run_.deadline();
  if (Rungs::fit(plan_)) {
    return copy_on_rungs(deadline);
  }
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOverlay) == Place::kOverlay) {  // else it is past this
      copy(disk, deadline);
    }
  }
}

void CopyFrozen::copy_on_rungs(std::optional<Clock::time_point> deadline) {
  Rungs rungs(run_);
  rungs.settle();
  for (const MovingDisk& disk : plan_.disks) {
    if (journal_.noted(kChanged)) {
      journal_.forget(copied(disk));  // it may have been changed since
    }
  }
  for (const MovingDisk& disk : plan_.disks) {
    run_.require_from(disk, Place::kOverlay);
    CopyBreaks& breaks = rungs.begin_copy(disk);
    copy_by([&](std::stop_token stop) { run_.copy_disk(disk, stop, &breaks); },
            [&] { rungs.watch(breaks); }, disk, deadline);
  }
  LessEachTime turns;
  while (const MovingDisk* const disk = rungs.find_behind()) {
    if (!turns.still(rungs.bytes_behind())) {
      fail(ErrorKind::kIo, source_.name(), "copy what it wrote meanwhile",
           "it writes faster than it is copied",
           "give it more room with --overlay-max, or try at a quieter time");
    }
    CopyBreaks& breaks = rungs.breaks(*disk);
    copy_by([&](std::stop_token stop) { run_.catch_up(*disk, stop, breaks); },
            [&] { rungs.watch(breaks); }, *disk, deadline);
  }
}

void CopyFrozen::copy(const MovingDisk& disk, std::optional<Clock::time_point> deadline) {
  copy_by([&](std::stop_token stop) { run_.copy_disk(disk, stop); },
          [this] { run_.watch_overlays(); }, disk, deadline);
}

void CopyFrozen::copy_by(const std::function<void(std::stop_token)>& work,
                         const std::function<void()>& look, const MovingDisk& disk,
                         std::optional<Clock::time_point> deadline) {
  // The copier blocks; the overlays grow meanwhile. This scope outlives the call in every case.
  std::stop_source stop;
  BlockingCall copying([&work, token = stop.get_token()] { work(token); });
  std::exception_ptr trouble;
  while (!copying.wait(context_.patience.watch)) {
    if (stop.stop_requested()) {
      continue;
    }
    try {
      source_.throw_if_stopped();
      look();
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
