// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "vmferry/extent.h"

namespace vmferry {

/// Makes [offset, offset + length) of a file a hole, or tells a block device to drop it where it
/// promises zeros after that: fallocate(2), which for a device never writes zeros instead
/// (blkdev_fallocate in the kernel's block/fops.c). The size stays. Throws kUnsupported where there
/// is no such thing. Bytes; whole blocks. Any thread.
void punch_hole(int fd, uint64_t offset, uint64_t length, const std::string& name);

/// Gives every extent of the file that is allocated but was never written (fallocate makes such)
/// to `found`, in order; it reads as zero. Nothing where the file system cannot tell. What is dirty
/// in memory is written out first (FIEMAP_FLAG_SYNC, the kernel's filesystems/fiemap.rst).
void for_each_unwritten(int fd, const std::function<void(const Extent&)>& found);

}  // namespace vmferry
