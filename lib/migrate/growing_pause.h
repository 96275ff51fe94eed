// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace vmferry::migrate {

/// What lies between two questions: little at first, since much is done at once, and twice as much
/// each time, up to `most`. One thread.
class GrowingPause {
 public:
  explicit GrowingPause(std::chrono::milliseconds most) : most_(most) {}
  void take() {
    std::this_thread::sleep_for(std::min(next_, most_));
    next_ = std::min(next_ * 2, most_);
  }

 private:
  const std::chrono::milliseconds most_;
  std::chrono::milliseconds next_{4};
};

}  // namespace vmferry::migrate
