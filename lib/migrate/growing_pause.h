// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace vmferry::migrate {

/// What lies between two questions: little at first, since much is done at once, then an eighth of
/// what it took so far, up to `most`. So an end is heard of soon, as things go. One thread.
class GrowingPause {
 public:
  using Clock = std::chrono::steady_clock;
  explicit GrowingPause(std::chrono::milliseconds most) : most_(most) {}
  void take() const {
    constexpr Clock::duration kLeast = std::chrono::milliseconds(4);
    const Clock::duration pause = std::max(kLeast, (Clock::now() - began_) / 8);
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, most_));
  }

 private:
  const std::chrono::milliseconds most_;
  const Clock::time_point began_ = Clock::now();
};

}  // namespace vmferry::migrate
