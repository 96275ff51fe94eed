// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kZerosInOneTurn = 1 << 20;

/// Every write books the time that it takes at the agreed rate, and waits for its turn. What was
/// not used is lost: no burst follows a pause. Nothing is shared: that would read without a limit.
class RateLimitedSink : public ForwardingSink {
 public:
  RateLimitedSink(Sink& sink, uint64_t bytes_per_second, std::stop_token stop)
      : ForwardingSink(sink), rate_(bytes_per_second), stop_(std::move(stop)) {}

  bool may_share(const Source& /*source*/) const override { return false; }
  bool share_range(const Source& /*source*/, uint64_t /*offset*/, uint64_t /*length*/) override {
    return false;
  }
  void write_at(uint64_t offset, Slice data) override {
    wait_for_turn(data.size());
    ForwardingSink::write_at(offset, std::move(data));
  }
  /// Where bytes go out in order zeros travel like others.
  void zero_range(uint64_t offset, uint64_t length) override {
    if (!traits().in_order) {
      return ForwardingSink::zero_range(offset, length);
    }
    for (uint64_t at = 0; at < length; at += kZerosInOneTurn) {
      const uint64_t step = std::min(kZerosInOneTurn, length - at);
      wait_for_turn(step);
      ForwardingSink::zero_range(offset + at, step);
    }
  }

 private:
  void wait_for_turn(uint64_t bytes) {
    std::unique_lock lock(mutex_);
    const Clock::time_point turn = std::max(free_from_, Clock::now());
    free_from_ = turn + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                            static_cast<double>(bytes) / static_cast<double>(rate_)));
    const Clock::time_point until = free_from_;
    wake_.wait_until(lock, stop_, until, [] { return false; });
    if (stop_.stop_requested()) {
      throw cancelled_error();
    }
  }

  const uint64_t rate_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Clock::time_point free_from_;
};

}  // namespace

std::unique_ptr<Sink> limit_rate(Sink& sink, uint64_t bytes_per_second, std::stop_token stop) {
  return std::make_unique<RateLimitedSink>(sink, bytes_per_second, std::move(stop));
}

}  // namespace vmferry
