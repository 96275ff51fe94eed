// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/store/rbd/rbd_diff.h"
#include "vmferry/image_facts.h"
#include "vmferry/location.h"

namespace vmferry {

/// The snapshots of an open volume that the user has made, oldest first. Throws Error about
/// `location`. Any thread.
std::vector<SnapshotFacts> read_rbd_snapshots(rbd_image_t image, const RbdLocation& location);

/// The names of all its snapshots, also of those that are not the user's: asks nobody for each.
/// Throws Error about `location`. Any thread.
std::set<std::string> rbd_snapshot_names(rbd_image_t image, const RbdLocation& location);

/// Those that read_rbd_snapshots() leaves out, with what they are for: "NAME (in the trash)".
/// Throws Error about `location`. Any thread.
std::vector<std::string> rbd_other_snapshots(rbd_image_t image, const RbdLocation& location);

/// What the cluster says about an open volume, `used_bytes` included. Throws Error. Any thread.
RbdFacts read_rbd_facts(rados_ioctx_t io, rbd_image_t image, const RbdLocation& location);

/// The pool with the data of an open volume; empty: they are in its own, `io`. Asks nobody. Any
/// thread.
std::string rbd_data_pool(rados_ioctx_t io, rbd_image_t image);

/// Bytes of objects that exist for the first `size` bytes of the volume itself, as `rbd du` counts
/// them; nothing: the cluster does not tell. Any thread.
std::optional<uint64_t> used_bytes(const RbdView& view, uint64_t size);

}  // namespace vmferry
