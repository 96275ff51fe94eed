// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cstring>
#include <limits>

#include "lib/core/block_hasher.h"
#include "lib/core/block_walker.h"
#include "lib/core/hot_window.h"
#include "lib/core/workers.h"
#include "lib/core/zeros.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kCompareBlock = 4 << 20;
constexpr size_t kMemory = 64 << 20;  // as a copy has, for each side
constexpr uint64_t kNowhere = std::numeric_limits<uint64_t>::max();

/// A source of any length seen as one of `size` bytes: zeros follow its end.
class Padded {
 public:
  explicit Padded(const Source& source) : source_(source) {}

  Extent extent_at(uint64_t offset, uint64_t max) const {
    if (offset >= source_.size()) {
      return {offset, max, ExtentKind::kZero};
    }
    return source_.extent_at(offset, std::min(max, source_.size() - offset));
  }

  void prefetch(uint64_t offset, uint64_t length) const {
    if (offset < source_.size()) {
      source_.prefetch(offset, std::min(length, source_.size() - offset));
    }
  }

  const Source& source() const { return source_; }

 private:
  const Source& source_;
};

/// How many bytes are equal from the start on. REQUIRES: equal sizes.
size_t first_mismatch(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (std::memcmp(a.data(), b.data(), a.size()) == 0) {
    return a.size();
  }
  return std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
}

/// How many bytes are zero from the start on.
size_t zeros_at_begin(std::span<const std::byte> bytes) {
  if (is_zero(bytes)) {
    return bytes.size();
  }
  const auto is_set = [](std::byte byte) { return byte != std::byte{0}; };
  return std::find_if(bytes.begin(), bytes.end(), is_set) - bytes.begin();
}

class Comparer {
 public:
  Comparer(const Source& a, const Source& b, const CompareOptions& options, Progress& progress)
      : a_(a),
        b_(b),
        jobs_(std::clamp(options.jobs, 1u, 64u)),
        window_(std::max({uint64_t{kHotWindow}, a.read_alignment(), b.read_alignment(),
                          a.preferred_read(), b.preferred_read()})),
        side_((window_ + 4095) / 4096 * 4096),
        pool_(std::clamp<size_t>(kMemory / (2 * side_), 2, std::max(2u, jobs_)), 2 * side_),
        digest_(options.digest),
        progress_(progress),
        walker_(walk_rules()) {}

  uint64_t run(std::stop_token stop) {
    run_workers(jobs_, stop, [this](std::stop_token any_stop) {
      while (const auto block = walker_.next(any_stop)) {
        if (any_stop.stop_requested()) {
          throw cancelled_error();
        }
        if (block->offset >= first_) {
          return;  // only what lies before it still matters
        }
        // Room for both sides at once: nobody can wait for one half while he holds the other.
        Buffer both = pool_.acquire(any_stop);
        compare_block(*block, both.bytes().first(side_), both.bytes().last(side_));
      }
    });
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    return first_;
  }

 private:
  BlockWalker::Rules walk_rules() const {
    const uint64_t block = std::max(kCompareBlock, window_);
    return {.size = std::max(a_.source().size(), b_.source().size()),
            .block = block,
            .ahead = 8,
            .with_zeros = false,
            .zeros_at = [this](uint64_t offset, uint64_t max) -> uint64_t {
              const Extent in_a = a_.extent_at(offset, max);
              if (!in_a.is_zero()) {
                return 0;
              }
              const Extent in_b = b_.extent_at(offset, in_a.length);
              return in_b.is_zero() ? in_b.length : 0;
            },
            .announce =
                [this](uint64_t offset, uint64_t length) {
                  a_.prefetch(offset, length);
                  b_.prefetch(offset, length);
                }};
  }

  void compare_block(const Extent& block, std::span<std::byte> left, std::span<std::byte> right) {
    BlockHasher hasher(digest_, block.offset, block.end());
    for (uint64_t at = block.offset; at < block.end() && at < first_;) {
      const uint64_t end = std::min(block.end(), (at / window_ + 1) * window_);
      compare_window(at, left.first(end - at), right.first(end - at), hasher);
      at = end;
    }
    hasher.finish();
  }

  void compare_window(uint64_t offset, std::span<std::byte> left, std::span<std::byte> right,
                      BlockHasher& hasher) {
    const bool any_a = load(a_, offset, left);
    const bool any_b = load(b_, offset, right);
    const size_t length = left.size();
    size_t same = length;
    if (any_a) {
      hasher.add(offset, left);
    }
    if (any_a && any_b) {
      same = first_mismatch(left, right);
    } else if (any_a || any_b) {
      same = zeros_at_begin(any_a ? left : right);
    }
    if (same == length) {
      return;
    }
    uint64_t known = first_;
    while (offset + same < known && !first_.compare_exchange_weak(known, offset + same)) {
    }
  }

  /// Fills `out`, or answers false: all of it is zero. Reads only what may be data.
  bool load(const Padded& from, uint64_t offset, std::span<std::byte> out) {
    const uint64_t end = offset + out.size();
    Extent extent = from.extent_at(offset, out.size());
    if (extent.is_zero() && extent.end() == end) {
      return false;
    }
    while (true) {
      const auto place = out.subspan(extent.offset - offset, extent.length);
      if (extent.is_zero()) {
        std::memset(place.data(), 0, place.size());
      } else {
        from.source().read_at(extent.offset, place);
        progress_.data_done += extent.length;
      }
      if (extent.end() == end) {
        return true;
      }
      extent = from.extent_at(extent.end(), end - extent.end());
    }
  }

  const Padded a_;
  const Padded b_;
  const unsigned jobs_;
  const uint64_t window_;
  const size_t side_;  ///< a window, in whole pages
  BufferPool pool_;
  DiskDigest* const digest_;
  Progress& progress_;
  BlockWalker walker_;
  std::atomic<uint64_t> first_ = kNowhere;
};

}  // namespace

CompareResult compare(const Source& a, const Source& b, const CompareOptions& options,
                      Progress& progress) {
  const uint64_t shorter = std::min(a.size(), b.size());
  const uint64_t first = Comparer(a, b, options, progress).run(options.stop);
  if (first < shorter) {
    return {.same = false, .first_difference = first};
  }
  if (a.size() == b.size()) {
    return {.same = true, .first_difference = {}};
  }
  if (!options.ignore_trailing_zeros) {
    return {.same = false, .first_difference = shorter};
  }
  if (first == kNowhere) {
    return {.same = true, .first_difference = {}};
  }
  return {.same = false, .first_difference = first};
}

}  // namespace vmferry
