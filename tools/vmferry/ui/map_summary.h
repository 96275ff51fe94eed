// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "vmferry/inspect.h"
#include "vmferry/source.h"

namespace vmferry::cli {

/// Bytes of the guest disk by what holds them.
struct MapTotals {
  uint64_t data = 0;        ///< bytes that may be other than zero, compressed ones included
  uint64_t compressed = 0;  ///< of those
  uint64_t zero = 0;        ///< noted or preallocated as zeros
  uint64_t hole = 0;
  uint64_t extents = 0;  ///< a number, not bytes
};

/// A disk cut into cells of equal size, a power of two (the last may be cut), and how much data is
/// in each. A plain value.
struct MapSummary {
  uint64_t disk_size = 0;
  uint64_t cell_size = 0;
  std::vector<uint64_t> cell_data;  ///< bytes; empty for a disk of no bytes
  MapTotals totals;
  /// Where partitions are, without extended ones and what lies beyond the end of the disk, by
  /// offset; and their bytes of data.
  struct Part {
    const Partition* partition;
    uint64_t end;  ///< cut to the disk
    uint64_t data;
  };
  std::vector<Part> parts;

  uint64_t cell_length(size_t cell) const;
  /// 0 to 4: no data, up to a quarter, a half, three quarters, more.
  unsigned level(size_t cell) const;
  /// The part that most of the cell belongs to (an index into parts), or -1.
  int part_of(size_t cell) const;
};

/// Walks the map of `disk` once. At most `most_cells` cells, more than half of it if the disk is
/// large enough. `contents` must outlive the answer. Throws Error kCancelled when stopped.
MapSummary summarize(const Source& disk, const Contents& contents, size_t most_cells,
                     std::stop_token stop);

/// "ext4", "LVM2_member", or what the type of the partition is called.
std::string what_is_in(const Partition& partition);
/// Its label, or its name in the GPT.
std::string name_of(const Partition& partition);
/// "9.1 %"; "< 0.1 %" rather than nothing for a little.
std::string percent(uint64_t part, uint64_t whole);

}  // namespace vmferry::cli
