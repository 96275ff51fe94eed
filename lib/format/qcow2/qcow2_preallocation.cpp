// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_preallocation.h"

#include <algorithm>
#include <span>
#include <vector>

#include "lib/core/endian.h"
#include "lib/core/zeros.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlockOffsetMask = ~uint64_t{0x1ff};  // bits 9 to 63; those below are reserved

/// How many of the refcounts in `block` are not 0. Counts of less than a byte lie several in one.
uint64_t used_in(std::span<const std::byte> block, uint32_t order) {
  uint64_t used = 0;
  if (order >= 3) {
    const size_t bytes = size_t{1} << (order - 3);
    for (size_t at = 0; at + bytes <= block.size(); at += bytes) {
      if (!is_zero(block.subspan(at, bytes))) {
        ++used;
      }
    }
    return used;
  }
  const unsigned bits = 1U << order;
  const unsigned mask = (1U << bits) - 1;
  for (const std::byte b : block) {
    for (unsigned shift = 0; shift < 8; shift += bits) {
      if ((std::to_integer<unsigned>(b) >> shift & mask) != 0) {
        ++used;
      }
    }
  }
  return used;
}

}  // namespace

bool is_preallocated(const Source& file, const Qcow2Header& header, uint64_t allocated) {
  const uint64_t cluster = header.cluster_size();
  const uint64_t real = allocated / cluster;
  const uint64_t threshold = std::max(real * 10 / 9, real + 2);
  if (file.size() / cluster + 1 < threshold) {
    return false;
  }

  const uint64_t table_bytes =
      std::min(header.refcount_table_clusters * cluster,
               file.size() - std::min(file.size(), header.refcount_table_offset));
  std::vector<uint64_t> table(table_bytes / sizeof(uint64_t));
  file.read_at(header.refcount_table_offset, std::as_writable_bytes(std::span(table)));
  from_big_endian(table);

  // Counts beyond the end of the file mean nothing; a damaged table might hold many.
  const uint64_t per_block = cluster * 8 >> header.refcount_order;
  table.resize(std::min<uint64_t>(table.size(), file.size() / cluster / per_block + 1));
  std::vector<std::byte> block(cluster);
  uint64_t used = 0;
  uint64_t blocks_left = real + 1;  // a file has no more of them than it has clusters
  for (const uint64_t entry : table) {
    const uint64_t offset = entry & kBlockOffsetMask;
    if (offset == 0 || offset > file.size() || cluster > file.size() - offset) {
      continue;
    }
    if (blocks_left-- == 0) {
      return false;
    }
    file.read_at(offset, block);
    used += used_in(block, header.refcount_order);
    if (used >= threshold) {
      return true;
    }
  }
  return false;
}

}  // namespace vmferry
