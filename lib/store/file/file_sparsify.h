// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmferry/sparsify.h"

namespace vmferry {

/// sparsify_in_place() for a file or block device.
SpaceUse sparsify_file(const std::string& path, const InPlaceOptions& options, Progress& progress);

/// What the file takes of its file system (bytes); nothing for a block device.
std::optional<uint64_t> file_bytes(const std::string& path);

}  // namespace vmferry
