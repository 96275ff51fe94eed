// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/format/qemu_image.h"
#include "vmferry/network.h"
#include "vmferry/source.h"

namespace vmferry {

/// The guest's disk in an image that QEMU reads. It is unchanged as long as each of its files is.
/// Throws Error: see QemuNbd.
std::unique_ptr<Source> serve(std::unique_ptr<QemuImage> image, const NetworkOptions& network);

}  // namespace vmferry
