// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void Sparsify::run() {
  for (const MovingDisk& disk : plan_.disks) {
    try {
      context_.storage->sparsify_volume(disk.volume);
    } catch (const Error& error) {
      // The data is safe where it is; only room is lost.
      context_.observer->warning(std::string(error.what()) + "; later: rbd sparsify " +
                                 disk.volume.ceph_name());
    }
  }
}

}  // namespace vmferry::migrate
