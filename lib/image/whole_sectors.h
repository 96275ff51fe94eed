// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "vmferry/open.h"

namespace vmferry {

/// What QEMU shows a guest of an image of `bytes`: whole sectors. The last one of a raw image is
/// filled up with zeros (block/io.c: bdrv_refresh_total_sectors); that of a qcow2 image is cut off
/// (block/qcow2.c: qcow2_do_open).
uint64_t guest_bytes(ImageFormat format, uint64_t bytes);

/// `image` as QEMU shows it: itself where its size is one of whole sectors.
std::unique_ptr<Source> in_whole_sectors(std::unique_ptr<Source> image, ImageFormat format);

}  // namespace vmferry
