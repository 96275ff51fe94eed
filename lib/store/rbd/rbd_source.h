// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/source.h"

namespace vmferry {

/// The volume, or snapshot, read through a connection that is there. Throws Error.
std::unique_ptr<Source> read_rbd_volume(const RbdLocation& location,
                                        std::shared_ptr<const RbdPool> pool);

}  // namespace vmferry
