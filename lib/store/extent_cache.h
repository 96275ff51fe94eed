// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "vmferry/extent.h"

namespace vmferry {

/// Answers extent_at() for a store that is asked about long pieces, as asking costs much: keeps the
/// answers, for readers at several places at once. Each piece is asked for once, by whoever comes
/// first; who wants the same one waits, the others do not. The answers used longest ago make room
/// when there are more than `max_extents` in all. Any thread.
class ExtentCache {
 public:
  /// Where the data is within [offset, offset + length): sorted, apart. May throw: then the piece
  /// is asked for again. Called from many threads, for different pieces.
  using Ask = std::function<std::vector<Extent>(uint64_t offset, uint64_t length)>;

  /// REQUIRES: piece > 0.
  ExtentCache(uint64_t size, uint64_t piece, size_t max_extents, Ask ask);

  /// As Source::extent_at().
  Extent extent_at(uint64_t offset, uint64_t max);

 private:
  struct Answer {
    std::mutex mutex;  // held while asking
    bool known = false;
    std::vector<Extent> data;
    // The cache's mutex guards these two.
    size_t counted = 0;
    uint64_t last_use = 0;
  };

  std::shared_ptr<Answer> answer_for(uint64_t piece);
  void count(const std::shared_ptr<Answer>& answer, uint64_t piece);

  const uint64_t size_;
  const uint64_t piece_;
  const size_t max_extents_;
  const Ask ask_;

  std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Answer>> answers_;  // by number of the piece
  size_t extents_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace vmferry
