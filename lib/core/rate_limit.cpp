// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <utility>

#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kZerosInOneTurn = 1 << 20;

/// How long a write waits at most before it asks for the rate again.
constexpr std::chrono::seconds kAskAgain{1};

/// Every write books its bytes, which are paid for as time goes on, and waits until they are. What
/// was not used is lost: no burst follows a pause. Nothing is shared: that would read without a
/// limit.
class RateLimitedSink : public ForwardingSink {
 public:
  RateLimitedSink(Sink& sink, RateNow rate, std::stop_token stop)
      : ForwardingSink(sink), ask_(std::move(rate)), stop_(std::move(stop)) {}

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
    pay();
    booked_ += static_cast<double>(bytes);
    const double turn = booked_;
    while (paid_ < turn) {
      const std::chrono::duration<double> left((turn - paid_) / static_cast<double>(rate_));
      const auto wait = std::min<std::chrono::duration<double>>(left, kAskAgain);
      wake_.wait_until(lock, stop_,
                       Clock::now() + std::chrono::ceil<Clock::duration>(wait) + kRounding,
                       [] { return false; });
      if (stop_.stop_requested()) {
        throw cancelled_error();
      }
      pay();
    }
  }

  /// What passed since the last time was at the rate of then.
  void pay() {
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> passed = now - paid_at_;
    paid_ = std::min(booked_, paid_ + passed.count() * static_cast<double>(rate_));
    paid_at_ = now;
    rate_ = ask_();
    if (rate_ == 0) {
      paid_ = std::numeric_limits<double>::infinity();
    }
  }

  static constexpr std::chrono::microseconds kRounding{1};

  const RateNow ask_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  uint64_t rate_ = 0;
  double booked_ = 0;  ///< bytes, since the beginning: a double counts them up to 8 PiB
  double paid_ = 0;    ///< of these, those that may go, or went
  Clock::time_point paid_at_;
};

}  // namespace

std::unique_ptr<Sink> limit_rate(Sink& sink, uint64_t bytes_per_second, std::stop_token stop) {
  return limit_rate(
      sink, [bytes_per_second] { return bytes_per_second; }, std::move(stop));
}

std::unique_ptr<Sink> limit_rate(Sink& sink, RateNow rate, std::stop_token stop) {
  return std::make_unique<RateLimitedSink>(sink, std::move(rate), std::move(stop));
}

}  // namespace vmferry
