// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/blocking_call.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "lib/core/threads.h"

namespace vmferry {

struct BlockingCall::State {
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::exception_ptr error;
};

BlockingCall::BlockingCall(std::function<void()> call) : state_(std::make_shared<State>()) {
  start_thread([state = state_, call = std::move(call)]() mutable {
    std::exception_ptr error;
    try {
      call();
    } catch (...) {
      error = std::current_exception();
    }
    call = nullptr;  // what it owns is gone before anybody goes on
    const std::lock_guard lock(state->mutex);
    state->error = std::move(error);
    state->done = true;
    state->ended.notify_all();
  }).detach();
}

bool BlockingCall::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(state_->mutex);
  return state_->ended.wait_for(lock, time, [this] { return state_->done; });
}

bool BlockingCall::wait(const Pulse& pulse, const SilenceLimit& limit, std::stop_token stop) {
  using std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kLook{50};
  auto stopped = steady_clock::time_point::max();
  while (!wait(kLook)) {
    const auto now = steady_clock::now();
    if (stop.stop_requested()) {
      stopped = std::min(stopped, now);
    }
    if (now - pulse.last() > limit.silence) {
      return false;
    }
    if (now > stopped && now - std::max(pulse.last(), stopped) > limit.after_stop) {
      return false;
    }
  }
  return true;
}

void BlockingCall::result() {
  // Taken out: whichever thread drops the state last has nothing of the caller's error in it.
  std::exception_ptr error;
  {
    const std::lock_guard lock(state_->mutex);
    error = std::exchange(state_->error, nullptr);
  }
  if (error) {
    std::rethrow_exception(std::move(error));
  }
}

}  // namespace vmferry
