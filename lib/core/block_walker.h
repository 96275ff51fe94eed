// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "vmferry/extent.h"

namespace vmferry {

/// Hands out a disk to many workers, block by block: aligned blocks that hold some data, and (if
/// asked for) the zero runs between them, however long, in one step. The cost follows data: an
/// empty disk is one step. It runs a little ahead of the workers and announces the blocks to come.
/// next() may be called from many threads; the functions given are called by one at a time.
class BlockWalker {
 public:
  struct Rules {
    uint64_t size = 0;   ///< of the disk
    uint64_t block = 0;  ///< bytes; blocks are cut at its multiples
    size_t ahead = 0;    ///< how many blocks are announced before they are handed out
    bool with_zeros = false;
    /// How many bytes from `offset` on (at most `max`) are known to be zero; 0 if data begins
    /// there.
    std::function<uint64_t(uint64_t offset, uint64_t max)> zeros_at;
    std::function<void(uint64_t offset, uint64_t length)> announce;
  };

  explicit BlockWalker(Rules rules) : rules_(std::move(rules)) {}

  /// The next block (kData: holds data somewhere) or zero run; nothing at the end. Between two
  /// questions about zeros, of which there may be many, `stop` ends it: Error kCancelled.
  std::optional<Extent> next(const std::stop_token& stop = {});

 private:
  void plan_ahead(const std::stop_token& stop);

  Rules rules_;
  std::mutex mutex_;
  std::deque<Extent> planned_;
  uint64_t cursor_ = 0;
};

}  // namespace vmferry
