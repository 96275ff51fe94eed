// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void PivotOverlays::run() {
  run_.prove_access();
  StageOverlays(run_).run();  // those whose job a stop of the guest has ended
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOverlay) == Place::kOverlay) {
      source_.pivot(disk, Place::kBridge, [&] { journal_.note(switched(disk)); });
    }
    journal_.note(switched(disk));
  }
}

}  // namespace vmferry::migrate
