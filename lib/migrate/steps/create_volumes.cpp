// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void CreateVolumes::run() {
  for (const MovingDisk& disk : plan_.disks) {
    if (journal_.noted(made(disk)) && run_.is_ours(disk)) {
      continue;
    }
    run_.make_new_place(disk,
                        [&](const MigrationStorage::Made& made) { fresh_.create(disk, made); });
  }
}

}  // namespace vmferry::migrate
