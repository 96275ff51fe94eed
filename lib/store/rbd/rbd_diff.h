// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <cstdint>
#include <functional>
#include <string>

#include "vmferry/extent.h"

namespace vmferry {

enum class RbdDiff {
  kObjects,            ///< whole objects of the volume itself: costs least
  kObjectsAndParents,  ///< and what shows through from a parent
  kExactly,            ///< the bytes that the objects of the volume itself keep
};

/// An open volume, and the snapshot of it that is open, if any.
struct RbdView {
  rados_ioctx_t io;
  rbd_image_t image;
  std::string snapshot;
};

/// Whether the object map of the volume can be relied on.
bool has_object_map(rbd_image_t image);

/// Visits in order what the volume or snapshot has within [range.offset, range.end()), as
/// rbd_diff_iterate2() does, but also of an empty range, where that aborts the process (Ceph 16,
/// librbd::api::DiffIterate). Whole objects are looked up in the object map if there is one: librbd
/// takes 0.4 us for each object that could exist, half a minute for a volume of 64 TiB that is
/// asked about a few times. 0, or a negative code. Any thread. `visit` must not throw.
int visit_rbd_data(const RbdView& view, const Extent& range, RbdDiff what,
                   const std::function<void(const Extent&)>& visit);

}  // namespace vmferry
