// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace vmferry::migrate {

/// A call that may hang with a cluster, in a thread of its own. Who gives it up leaves the thread
/// behind, so `call` must own what it uses. One thread uses this.
class BlockingCall {
 public:
  explicit BlockingCall(std::function<void()> call);

  /// Has it ended, or does it within `time`?
  bool wait(std::chrono::milliseconds time);
  /// Throws what the call threw. REQUIRES: it has ended.
  void result() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace vmferry::migrate
