// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/session.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace vmferry::cli {
namespace {

constexpr long kTickNanoseconds = 200'000'000;
constexpr int kWakeUp = SIGALRM;  // from us to the watching thread: time to go
constexpr int kTicksOfGrace = 4;  // how long a command may take to notice before we end it

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, kWakeUp);
  return set;
}

/// No destructors: a library call that hangs would hang them, too.
[[noreturn]] void leave_now(int signal, const char* message) {
  if (::write(STDERR_FILENO, message, std::char_traits<char>::length(message)) < 0) {
    // Nobody listens; leaving is all that is left to do.
  }
  ::_exit(128 + signal);
}

}  // namespace

Session::Session() {
  const sigset_t set = our_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // inherited by every thread that starts from here on
  watcher_ = std::jthread([this](std::stop_token end) { watch(end); });
}

Session::~Session() {
  watcher_.request_stop();
  pthread_kill(watcher_.native_handle(), kWakeUp);  // or the end of every run would wait for a tick
}

void Session::begin_ticks(std::function<void()> draw) {
  std::lock_guard lock(mutex_);
  draw_ = std::move(draw);
}

void Session::end_ticks() {
  std::lock_guard lock(mutex_);
  draw_ = nullptr;
}

void Session::watch(std::stop_token end) {
  const sigset_t set = our_signals();
  const timespec tick = {0, kTickNanoseconds};
  int ticks_since_signal = 0;
  while (!end.stop_requested()) {
    const int got = ::sigtimedwait(&set, nullptr, &tick);
    if (got > 0 && got != kWakeUp) on_signal(got);
    if (signal_ != 0 && !cleanup_needed_ && ++ticks_since_signal > kTicksOfGrace) {
      leave_now(signal_, "vmferry: interrupted; nothing had been made yet\n");
    }
    std::lock_guard lock(mutex_);
    if (draw_) draw_();
  }
}

void Session::on_signal(int signal) {
  if (signal_ != 0 && cleanup_needed_) {
    leave_now(signal,
              "vmferry: interrupted twice; a '.vmferry-partial' file or volume may be left behind, "
              "the next run "
              "to the same target removes it\n");
  }
  signal_ = signal;
  stop_.request_stop();
}

}  // namespace vmferry::cli
