// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/domain.h"
#include "vmferry/migrate.h"

// Which disks of a machine move, and where to.

namespace vmferry::migrate {

/// Why the disk `disk` of the machine `live` does not move; empty: it does. Whether others were
/// named and this one not, does not count.
std::string why_not_chosen(const MigrateRequest& request, CopyMethod method, const Domain& live,
                           const DomainDisk& disk);

/// The volume that a disk shall be on. Throws kUsage: the template makes no name.
VolumeName goal_of(const MigrateRequest& request, const Domain& live, const std::string& dev);

/// The volume that a disk on RBD is on, as its definition leads QEMU there. REQUIRES: it is in no
/// namespace.
RbdLocation volume_of(const DiskImage& image);

}  // namespace vmferry::migrate
