// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmferry/extent.h"

namespace vmferry {

/// Are all bytes zero? True for an empty span. Any alignment.
bool is_zero(std::span<const std::byte> bytes);

/// Cuts `bytes`, which lie at `offset` of a disk, into runs of data and zeros, and appends them.
/// A zero run consists of whole pieces of `granularity` bytes, counted from offset 0 of the disk
/// (the pieces at both ends of the span may be partial). `granularity` is a power of two.
void split_zeros(uint64_t offset, std::span<const std::byte> bytes, uint32_t granularity,
                 std::vector<Extent>& out);

/// Appends `extent` to `runs`, joined to the last one if it continues it with the same kind.
void append_run(std::vector<Extent>& runs, const Extent& extent);

/// The extent at `offset`, `max` bytes long at most, of a disk whose data are `runs`: sorted,
/// apart.
Extent extent_in(const std::vector<Extent>& runs, uint64_t offset, uint64_t max);

}  // namespace vmferry
