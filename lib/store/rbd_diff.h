// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <cstdint>
#include <functional>

#include "vmferry/extent.h"

namespace vmferry {

enum class RbdDiff {
  kObjects,            ///< whole objects of the volume itself: costs least
  kObjectsAndParents,  ///< and what shows through from a parent
  kExactly,            ///< the bytes that the objects of the volume itself keep
};

/// Visits in order what the volume or snapshot has within [range.offset, range.end()), as
/// rbd_diff_iterate2() does, but also of an empty range, where that aborts the process (Ceph 16,
/// librbd::api::DiffIterate). 0, or its negative code. Any thread. `visit` must not throw.
int visit_rbd_data(rbd_image_t image, const Extent& range, RbdDiff what,
                   const std::function<void(const Extent&)>& visit);

}  // namespace vmferry
