// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/inspect.h"

namespace vmferry {

/// What libblkid finds in [offset, offset + length) of `disk`; nothing if it knows nothing. If it
/// finds several things that exclude each other, it says so in `notes` and answers none of them.
/// Throws Error when the disk cannot be read. Any thread.
/// REQUIRES: offset + length <= disk.size().
std::optional<FileSystem> probe_file_system(const Source& disk, uint64_t offset, uint64_t length,
                                            std::vector<std::string>& notes);

}  // namespace vmferry
