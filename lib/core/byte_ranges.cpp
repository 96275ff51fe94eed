// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/byte_ranges.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vmferry {
namespace {

/// What ranges are made of at first, when there are too many: a usual cluster.
constexpr uint64_t kLeastGap = 64 << 10;

}  // namespace

void ByteRanges::add(uint64_t offset, uint64_t length) {
  if (length == 0) {
    return;
  }
  uint64_t begin = offset;
  uint64_t end = offset + length;
  auto at = ends_.upper_bound(offset);
  if (at != ends_.begin() && std::prev(at)->second + gap_ >= offset) {
    at = std::prev(at);
  }
  while (at != ends_.end() && at->first <= end + gap_) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    at = ends_.erase(at);
  }
  ends_.emplace_hint(at, begin, end);
  if (ends_.size() > most_) {
    make_coarser();
  }
}

void ByteRanges::add(const ByteRanges& others) {
  for (const auto& [begin, end] : others.ends_) {
    add(begin, end - begin);
  }
}

/// To a half, so that this is not done again at once.
void ByteRanges::make_coarser() {
  while (ends_.size() > most_ / 2 + 1) {
    gap_ = std::max(kLeastGap, gap_ * 2);
    for (auto at = ends_.begin(); at != ends_.end();) {
      const auto next = std::next(at);
      if (next != ends_.end() && next->first <= at->second + gap_) {
        at->second = next->second;
        ends_.erase(next);
      } else {
        at = next;
      }
    }
  }
}

uint64_t ByteRanges::bytes() const {
  uint64_t sum = 0;
  for (const auto& [begin, end] : ends_) {
    sum += end - begin;
  }
  return sum;
}

Changes::Run ByteRanges::run_at(uint64_t offset, uint64_t max) const {
  const auto after = ends_.upper_bound(offset);
  if (after != ends_.begin() && std::prev(after)->second > offset) {
    return {std::min(max, std::prev(after)->second - offset), true};
  }
  return {after == ends_.end() ? max : std::min(max, after->first - offset), false};
}

}  // namespace vmferry
