// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lib/format/qcow2/qcow2.h"

namespace vmferry {

/// The largest cluster, and so the most that a header with its extensions can take.
constexpr uint64_t kQcow2MaxClusterSize = uint64_t{2} << 20;

/// The longest L1 table (QEMU's limit), of the disk or of a snapshot.
constexpr uint64_t kQcow2MaxL1Bytes = uint64_t{32} << 20;

/// read_qcow2_header() without the reading: `start` is the file from its first byte, a whole
/// cluster or all there is; `name` goes into messages; `file_size` bounds the tables. Pure: any
/// thread.
Qcow2Header parse_qcow2_header(std::span<const std::byte> start, const std::string& name,
                               uint64_t file_size);

}  // namespace vmferry
