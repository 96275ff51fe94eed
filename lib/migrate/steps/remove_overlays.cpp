// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void RemoveOverlays::run() {
  for (const MovingDisk& disk : plan_.disks) {
    run_.remove_overlay(disk);
    run_.remove_bridge(disk);
  }
}

}  // namespace vmferry::migrate
