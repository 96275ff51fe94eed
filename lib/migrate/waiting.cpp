// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/waiting.h"

#include <condition_variable>
#include <exception>
#include <mutex>

#include "lib/core/threads.h"

namespace vmferry::migrate {

struct BlockingCall::State {
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::exception_ptr error;
};

BlockingCall::BlockingCall(std::function<void()> call) : state_(std::make_shared<State>()) {
  start_thread([state = state_, call = std::move(call)] {
    std::exception_ptr error;
    try {
      call();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(state->mutex);
    state->error = error;
    state->done = true;
    state->ended.notify_all();
  }).detach();
}

bool BlockingCall::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(state_->mutex);
  return state_->ended.wait_for(lock, time, [this] { return state_->done; });
}

void BlockingCall::result() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->error) std::rethrow_exception(state_->error);
}

}  // namespace vmferry::migrate
