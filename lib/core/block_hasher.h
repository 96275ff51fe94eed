// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/core/xxh64.h"
#include "vmferry/digest.h"

namespace vmferry {

/// Tells a digest of the blocks of a range of a disk, of which one thread sees the bytes in order.
/// What it is not given is zero.
class BlockHasher {
 public:
  /// The range begins and ends at multiples of a block, or with the disk. Null: nothing is done.
  BlockHasher(DiskDigest* digest, uint64_t begin, uint64_t end)
      : digest_(digest), begin_(begin), end_(end) {}

  /// The bytes at `offset`, which follow what was given before.
  void add(uint64_t offset, std::span<const std::byte> bytes);
  /// All were given: now the digest has all blocks of the range.
  void finish();

 private:
  void add_within_block(uint64_t offset, std::span<const std::byte> bytes);
  /// Those before `block` are complete.
  void complete_until(uint64_t block);

  DiskDigest* const digest_;
  uint64_t begin_;                 ///< of the block that is not complete
  std::vector<BlockDigest> done_;  ///< those before it
  const uint64_t end_;
  std::optional<Xxh64> state_;  ///< of the bytes up to `length_`; nothing: all are zero
  uint64_t length_ = 0;
};

}  // namespace vmferry
