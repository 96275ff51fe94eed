// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "lib/store/rbd/rbd_cluster.h"

// Why Ceph would not make a volume: it answers "Invalid argument" to all of this. Any thread.

namespace vmferry {

/// Throws Error where a pool cannot keep volumes, or their data: erasure-coded pools, pools with
/// snapshots of their own. Asks the monitors, so a pool that does not answer is no hindrance; what
/// this user may not ask is not refused. To a data pool an empty object is written, and removed.
void refuse_unfit_pools(const RbdPool& pool, const RbdLocation& location, const RbdLayout& layout);

/// The Error for a volume that Ceph refused to make with EINVAL.
Error invalid_volume_error(rados_ioctx_t io, const RbdLocation& location, uint64_t size,
                           const RbdLayout& layout, uint64_t features);

}  // namespace vmferry
