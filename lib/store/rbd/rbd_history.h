// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/history.h"

namespace vmferry {

/// The user's snapshots of the volume as states of its disk, with their names there; of a snapshot,
/// those that were before it. Throws Error. Any thread.
std::vector<Point> rbd_points(rbd_image_t image, const RbdLocation& location);

/// The snapshot that `location` names, if it names one. Throws Error. Any thread.
std::optional<Point> rbd_point(rbd_image_t image, const RbdLocation& location);

/// Where the volume or snapshot `location` may differ from its snapshot `before`. Throws Error.
std::unique_ptr<Changes> rbd_changes(std::shared_ptr<const RbdPool> pool,
                                     const RbdLocation& location, const std::string& before);

}  // namespace vmferry
