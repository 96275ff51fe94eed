// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "vmferry/api.h"
#include "vmferry/format.h"
#include "vmferry/location.h"
#include "vmferry/target.h"

namespace VMFERRY_API vmferry {

/// Throws Error kUsage where an option or the layout means nothing to the store of `location`, or
/// to the format, or the layout has no disks of `options.size` bytes (0: not known yet); nothing is
/// asked or opened. create_image() does the same: this is for who has much to do before that.
void check_new_image(const Location& location, const TargetOptions& options,
                     const ImageLayout& layout);

/// open_target(), of an image of any format that can be made: its sink takes the bytes of a disk of
/// `options.size` bytes. What is not raw can be made in a regular file only; it shares no blocks,
/// and nobody can go on with an unfinished one. A qcow2 image has whole sectors of 512 bytes (QEMU
/// would cut off what is not): what is beyond the size is zero. Throws Error.
/// With a `link` the image may lie over another: what is neither written nor zeroed shows that one.
std::unique_ptr<Target> create_image(const Location& location, const TargetOptions& options,
                                     const ImageLayout& layout, const ImageLink& link = {});

}  // namespace VMFERRY_API vmferry
