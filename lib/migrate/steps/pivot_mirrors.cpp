// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void PivotMirrors::run() {
  run_.prove_access();
  Mirror(run_).run();  // those whose job a stop of the guest has ended
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOriginal) == Place::kOriginal) {
      source_.pivot(disk, Place::kTarget, [&] { journal_.note(switched(disk)); });
    }
    journal_.note(switched(disk));
  }
  run_.put_to_sleep();
}

}  // namespace vmferry::migrate
