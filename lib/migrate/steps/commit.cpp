// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void Commit::run() {
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kBridge) == Place::kBridge) {
      run_.wake();
      source_.commit(disk, Place::kTarget, [&] { run_.warn_of_room(disk.bridge); });
    }
    journal_.note(committed(disk));
  }
  run_.put_to_sleep();
}

}  // namespace vmferry::migrate
