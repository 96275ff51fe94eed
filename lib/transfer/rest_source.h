// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <vector>

#include "vmferry/digest.h"
#include "vmferry/source.h"

namespace vmferry {

/// What of a source is left to copy: blocks that are done look like holes. Any thread.
class RestSource final : public ForwardingSource {
 public:
  /// Done are the blocks that `digest` was told of by now. `source` must outlive it.
  RestSource(const Source& source, const DiskDigest& digest)
      : ForwardingSource(source), done_(digest.blocks(), false) {
    for (auto block = digest.next(0); block; block = digest.next(block->index + 1)) {
      done_[block->index] = true;
    }
  }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    const uint64_t length = same_until(offset, offset + max) - offset;
    return is_done(offset) ? Extent{offset, length, ExtentKind::kZero}
                           : ForwardingSource::extent_at(offset, length);
  }

 private:
  static constexpr uint64_t kLook = uint64_t{4}
                                    << 30;  // at a time: there may be millions of blocks

  bool is_done(uint64_t offset) const { return done_[offset / DiskDigest::kBlock]; }
  /// Where after `offset`, but not beyond `end`, that changes.
  uint64_t same_until(uint64_t offset, uint64_t end) const {
    const bool done = is_done(offset);
    uint64_t at = offset;
    end = std::min(end, offset + kLook);
    while (at < end && is_done(at) == done) {
      at = (at / DiskDigest::kBlock + 1) * DiskDigest::kBlock;
    }
    return std::min(at, end);
  }

  std::vector<bool> done_;
};

}  // namespace vmferry
