// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <vector>

#include "lib/store/rbd/rbd_admin.h"

namespace vmferry {

/// Of an open volume. Throws Error about `location`. Any thread.
std::vector<RbdClone> rbd_clones(rbd_image_t image, const RbdLocation& location);

}  // namespace vmferry
