// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/zeros.h"

#include <algorithm>
#include <cstring>

namespace vmferry {
namespace {

uint64_t load_word(const std::byte* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

}  // namespace

bool is_zero(std::span<const std::byte> bytes) {
  // Most data shows itself in the first words; only zeros are worth the wide loop, which the
  // compiler turns into vector instructions.
  constexpr size_t kWord = sizeof(uint64_t);
  constexpr size_t kStride = 32 * kWord;
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  if (bytes.size() >= kWord && load_word(at) != 0) {
    return false;
  }
  while (static_cast<size_t>(end - at) >= kStride) {
    uint64_t seen = 0;
    for (size_t i = 0; i < kStride; i += kWord) {
      seen |= load_word(at + i);
    }
    if (seen != 0) {
      return false;
    }
    at += kStride;
  }
  return std::all_of(at, end, [](std::byte b) { return b == std::byte{0}; });
}

void append_run(std::vector<Extent>& runs, const Extent& extent) {
  if (!runs.empty() && runs.back().kind == extent.kind && runs.back().end() == extent.offset) {
    runs.back().length += extent.length;
  } else {
    runs.push_back(extent);
  }
}

void split_zeros(uint64_t offset, std::span<const std::byte> bytes, uint32_t granularity,
                 std::vector<Extent>& out) {
  const uint64_t end = offset + bytes.size();
  for (uint64_t at = offset; at < end;) {
    const uint64_t piece_end = std::min(end, (at | (granularity - 1)) + 1);
    const uint64_t length = piece_end - at;
    const bool zero = is_zero(bytes.subspan(at - offset, length));
    append_run(out, {at, length, zero ? ExtentKind::kZero : ExtentKind::kData});
    at = piece_end;
  }
}

Extent extent_in(const std::vector<Extent>& runs, uint64_t offset, uint64_t max) {
  const auto next =
      std::upper_bound(runs.begin(), runs.end(), offset,
                       [](uint64_t at, const Extent& extent) { return at < extent.end(); });
  if (next == runs.end()) {
    return {offset, max, ExtentKind::kZero};
  }
  if (next->offset > offset) {
    return {offset, std::min(max, next->offset - offset), ExtentKind::kZero};
  }
  return {offset, std::min(max, next->end() - offset), ExtentKind::kData};
}

}  // namespace vmferry
