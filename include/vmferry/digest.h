// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/api.h"

// One short text that tells whether two disks show a guest the same bytes, wherever they are and
// however they are stored. It finds accidents, not forgeries: XXH64 is no cryptographic hash.

namespace VMFERRY_API vmferry {

/// What a block of a disk holds.
struct BlockDigest {
  uint32_t length = 0;  ///< bytes up to the last one that is not zero; 0: all are zero
  uint64_t hash = 0;    ///< XXH64 (seed 0) of these bytes; 0 if there are none

  bool operator==(const BlockDigest&) const = default;
};

/// The digests of a disk's blocks, as far as they are known. What was never told of is zero. Any
/// thread. Takes 16 bytes for each block that was told of.
class DiskDigest {
 public:
  static constexpr uint64_t kBlock = 4 << 20;  ///< bytes; the last block of a disk may be shorter
  static constexpr uint64_t kBlocksPerPiece = 16;

  /// `size` of the disk, in bytes.
  explicit DiskDigest(uint64_t size);
  DiskDigest(const DiskDigest&) = delete;
  DiskDigest& operator=(const DiskDigest&) = delete;
  ~DiskDigest();

  uint64_t size() const { return size_; }
  /// For a disk whose size was not known before. One thread, while no other one uses this.
  void set_size(uint64_t size) { size_ = size; }
  uint64_t blocks() const { return (size_ + kBlock - 1) / kBlock; }
  /// Of the block `index`, which begins at `index * kBlock`.
  void set(uint64_t index, const BlockDigest& digest);
  void forget(uint64_t index);
  /// Nothing: it was not told of.
  std::optional<BlockDigest> find(uint64_t index) const;
  /// The pieces (of kBlocksPerPiece blocks) that were told of since this was asked last.
  std::vector<uint64_t> take_changed_pieces();
  struct Known {
    uint64_t index = 0;
    BlockDigest digest;
  };
  /// The first block from `index` on that was told of; nothing: there are no more.
  std::optional<Known> next(uint64_t index) const;

  /// "xxh64t:0123456789abcdef": the same for all disks that show the same bytes. The number is
  /// XXH64 (seed 0) of the disk's size, and of the index and digest of each piece of 16 blocks that
  /// is not all zero, in order; the digest of a piece is XXH64 of length and hash of its 16 blocks.
  /// A length has 4 bytes, all other numbers have 8, little endian.
  std::string text() const;

 private:
  struct Piece;
  struct Entry;

  uint64_t size_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Piece>> pieces_;
};

/// Is it in the form of DiskDigest::text()?
bool is_digest(std::string_view text);

}  // namespace VMFERRY_API vmferry
