// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "vmferry/digest.h"
#include "vmferry/source.h"

namespace vmferry {

/// What of a source is left to copy: blocks that are done look like holes. Any thread.
class RestSource final : public Source {
 public:
  /// Done are the blocks that `digest` was told of by now. `source` must outlive it.
  RestSource(const Source& source, const DiskDigest& digest)
      : source_(source), done_(digest.blocks(), false) {
    for (auto block = digest.next(0); block; block = digest.next(block->index + 1)) {
      done_[block->index] = true;
    }
  }

  const std::string& name() const override { return source_.name(); }
  uint64_t size() const override { return source_.size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    const uint64_t length = same_until(offset, offset + max) - offset;
    return is_done(offset) ? Extent{offset, length, ExtentKind::kZero}
                           : source_.extent_at(offset, length);
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    source_.read_at(offset, out);
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    source_.prefetch(offset, length);
  }
  void check_unchanged() const override { source_.check_unchanged(); }
  void check_still_there() const override { source_.check_still_there(); }
  std::chrono::milliseconds silent_for() const override { return source_.silent_for(); }
  uint64_t read_alignment() const override { return source_.read_alignment(); }

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

  const Source& source_;
  std::vector<bool> done_;
};

}  // namespace vmferry
