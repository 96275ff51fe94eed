// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "vmferry/open.h"

// Volumes come and go. Any thread may call these.

namespace vmferry {

/// What is behind the name of a volume that is not complete yet.
inline constexpr const char* kRbdPartialSuffix = ".vmferry-partial";

/// Creates the volume `name` of exactly `size` bytes. Throws Error about `location`: kUsage where
/// the layout makes no sense, kConflict where the name is taken.
void create_rbd_image(rados_ioctx_t io, const std::string& name, uint64_t size,
                      const RbdLayout& layout, const RbdLocation& location);

/// Removes the volume `name`; none there is no failure. Tries again for `patience` while somebody
/// watches it (a client that died does so for some 30 s) or the pool is full; ends early when
/// stopped. Never throws. 0, or the last negative code of rbd_remove.
int remove_rbd_image(rados_ioctx_t io, const std::string& name, std::chrono::seconds patience,
                     std::stop_token stop) noexcept;

}  // namespace vmferry
