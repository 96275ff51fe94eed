// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace vmferry::cli {

/// What a running command shares with the thread that watches over it: signals become the stop
/// token, and a drawing function is called a few times a second. Every signal that asks the program
/// to end, or would end it unasked, is blocked in every thread of the process and taken by the
/// watching thread alone. SIGINT, SIGTERM and SIGQUIT are taken even if they were ignored at the
/// start, as a shell does for its background jobs; the others (SIGHUP under nohup) then stay
/// ignored.
class Session {
 public:
  // What is said when a second signal ends the program: what it may leave behind.
  static constexpr const char* kPartialTarget =
      "vmferry: interrupted twice; a '.vmferry-partial' file or volume may be left behind, or with "
      "--force the old volume as '.vmferry-old'; the next run to the same target puts that right\n";
  static constexpr const char* kPartOfStream =
      "vmferry: interrupted twice; standard output may have got a part of the disk\n";

  /// Throws Error when no thread is to be had.
  Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  std::stop_token stop() const { return stop_.get_token(); }
  /// The signal that asked us to stop; 0 if none did.
  int signal() const { return signal_; }

  /// Calls `draw` about five times a second from the watching thread until end_ticks() has
  /// returned. It throws nothing and waits for nobody.
  void begin_ticks(std::function<void()> draw);
  void end_ticks();

  /// Until the first thing is made there is nothing to clean up: a signal may end the program at
  /// once, even inside a library call that waits for a dead cluster. After this call it may not.
  /// A second signal does, with the message `left`.
  void making_something(const char* left = kPartialTarget) { left_ = left; }

 private:
  void watch(std::stop_token end, const sigset_t& signals);
  void on_signal(int signal);
  bool is_second_request(int signal);

  std::stop_source stop_;
  std::atomic<int> signal_ = 0;
  std::atomic<const char*> left_ = nullptr;                         // null: nothing was made yet
  std::optional<std::chrono::steady_clock::time_point> requested_;  // the watching thread's own
  std::mutex mutex_;
  std::function<void()> draw_;
  std::jthread watcher_;  // last: it uses all of the above
};

}  // namespace vmferry::cli
