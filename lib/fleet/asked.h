// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace vmferry::fleet {

/// Asks what may take long in a thread of its own, again and again while somebody wants to know:
/// whoever has leases to renew must not wait for it. Any thread.
template <typename T>
class Asked {
 public:
  using Clock = std::chrono::steady_clock;

  /// `ask` must not throw.
  explicit Asked(std::function<T()> ask)
      : ask_(std::move(ask)), thread_([this](std::stop_token stop) { run(stop); }) {}

  /// The latest answer. Nothing: there was none for a minute, or for `patience` if there never was.
  std::optional<T> answer(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    is_wanted_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, patience, [this] { return answer_.has_value(); });
    return Clock::now() - answered_ > kOld ? std::nullopt : answer_;
  }

 private:
  static constexpr std::chrono::seconds kEvery{10};
  static constexpr std::chrono::seconds kOld{60};

  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return is_wanted_; })) {
      is_wanted_ = false;
      lock.unlock();
      T answer = ask_();
      lock.lock();
      answer_ = std::move(answer);
      answered_ = Clock::now();
      changed_.notify_all();
      changed_.wait_for(lock, stop, kEvery, [] { return false; });
    }
  }

  const std::function<T()> ask_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<T> answer_;
  Clock::time_point answered_{};
  bool is_wanted_ = false;
  std::jthread thread_;  // last: it uses all of these
};

}  // namespace vmferry::fleet
