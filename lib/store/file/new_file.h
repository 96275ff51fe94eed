// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vmferry {

/// Makes a sparse file of `size` bytes that begins with `start`, for its owner's eyes only (0600;
/// libvirt hands it to QEMU's user). It is on disk when this returns. Throws Error: kConflict where
/// the name is taken; after any error there is no file. REQUIRES: start.size() <= size.
void create_file(const std::string& path, uint64_t size, std::span<const std::byte> start);

}  // namespace vmferry
