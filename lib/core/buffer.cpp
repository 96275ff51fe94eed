// SPDX-License-Identifier: LGPL-2.1-or-later
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "vmferry/buffer.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr std::chrono::seconds kLook{1};
constexpr size_t kAlignment = 4096;  // what O_DIRECT and page-wise copies like

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;

}  // namespace

/// Shared by the pool and by every buffer that is out, so that either may go first.
struct BufferPool::State {
  std::mutex mutex;
  std::condition_variable_any freed;
  std::vector<Memory> idle;
  size_t not_yet_made;  // memory is taken when first needed: a small image pays for little

  bool wait(std::unique_lock<std::mutex>& lock, const std::stop_token& stop,
            std::chrono::milliseconds time);
  /// Room in `idle` for every buffer was reserved: cannot fail.
  void give_back(Memory memory) {
    {
      std::lock_guard lock(mutex);
      idle.push_back(std::move(memory));
    }
    freed.notify_one();
  }
};

BufferPool::BufferPool(size_t count, size_t size) : state_(std::make_shared<State>()), size_(size) {
  state_->not_yet_made = count;
  state_->idle.reserve(count);
}

/// False: none is free within `time`.
bool BufferPool::State::wait(std::unique_lock<std::mutex>& lock, const std::stop_token& stop,
                             std::chrono::milliseconds time) {
  return freed.wait_for(lock, stop, time, [this] { return !idle.empty() || not_yet_made > 0; });
}

Buffer BufferPool::acquire(std::stop_token stop, const std::function<void()>& meanwhile) {
  Memory memory;
  {
    std::unique_lock lock(state_->mutex);
    while (!state_->wait(lock, stop, kLook) && !stop.stop_requested()) {
      if (meanwhile) {
        lock.unlock();
        meanwhile();
        lock.lock();
      }
    }
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    if (!state_->idle.empty()) {
      memory = std::move(state_->idle.back());
      state_->idle.pop_back();
    } else {
      memory.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size_)));
      if (!memory) {
        throw std::bad_alloc();
      }
      --state_->not_yet_made;
    }
  }
  std::byte* raw = memory.release();
  return Buffer(std::shared_ptr<std::byte>(
                    raw, [state = state_](std::byte* done) { state->give_back(Memory(done)); }),
                size_);
}

}  // namespace vmferry
