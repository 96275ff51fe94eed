// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/block_walker.h"

#include <algorithm>

#include "vmferry/error.h"

namespace vmferry {

std::optional<Extent> BlockWalker::next(const std::stop_token& stop) {
  std::lock_guard lock(mutex_);
  plan_ahead(stop);
  if (planned_.empty()) {
    return std::nullopt;
  }
  const Extent extent = planned_.front();
  planned_.pop_front();
  return extent;
}

void BlockWalker::plan_ahead(const std::stop_token& stop) {
  while (cursor_ < rules_.size && planned_.size() < rules_.ahead + 1) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    const uint64_t rest = rules_.size - cursor_;
    if (const uint64_t zeros = rules_.zeros_at(cursor_, rest); zeros > 0) {
      if (rules_.with_zeros) {
        planned_.push_back({cursor_, zeros, ExtentKind::kZero});
      }
      cursor_ += zeros;
      continue;
    }
    const uint64_t length = std::min(rest, rules_.block - cursor_ % rules_.block);
    planned_.push_back({cursor_, length, ExtentKind::kData});
    if (rules_.announce) {
      rules_.announce(cursor_, length);
    }
    cursor_ += length;
  }
}

}  // namespace vmferry
