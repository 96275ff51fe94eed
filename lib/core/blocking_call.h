// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>

namespace vmferry {

/// When something last moved. Any thread may use it.
class Pulse {
 public:
  void beat() { last_ = std::chrono::steady_clock::now(); }
  std::chrono::steady_clock::time_point last() const { return last_; }

 private:
  std::atomic<std::chrono::steady_clock::time_point> last_ = std::chrono::steady_clock::now();
};

/// How long a call may be silent.
struct SilenceLimit {
  std::chrono::milliseconds silence;     ///< without a beat of its pulse
  std::chrono::milliseconds after_stop;  ///< the same, once it was asked to stop
};

/// A call that may hang with a cluster, in a thread of its own. Who gives it up leaves the thread
/// behind, so `call` must own what it uses. One thread uses this.
class BlockingCall {
 public:
  /// Throws Error where no thread is to be had.
  explicit BlockingCall(std::function<void()> call);

  /// Has it ended, or does it within `time`?
  bool wait(std::chrono::milliseconds time);
  /// Waits as long as `pulse` beats. True: it has ended; false: give it up.
  bool wait(const Pulse& pulse, const SilenceLimit& limit, std::stop_token stop);
  /// Throws what the call threw, once. REQUIRES: it has ended.
  void result();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace vmferry
