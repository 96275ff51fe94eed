// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/session.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "lib/core/threads.h"
#include "tools/vmferry/ui/say.h"

namespace vmferry::cli {
namespace {

constexpr long kTickNanoseconds = 200'000'000;
constexpr int kTicksOfGrace = 4;  // how long a command may take to notice before we end it
// timeout(1) and sudo(8) tell the process and then its group: that is one request.
constexpr auto kSameRequest = std::chrono::milliseconds(300);

// Somebody asks us to end, and may ask again.
constexpr int kRequests[] = {SIGINT, SIGTERM, SIGQUIT};
// The terminal went away, a limit was reached, or it is somebody's word for something that we do
// not know: by default each of them ends a process.
constexpr int kEndings[] = {SIGHUP, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF, SIGPWR};

bool is_request(int signal) {
  return std::find(std::begin(kRequests), std::end(kRequests), signal) != std::end(kRequests);
}

bool has_default_action(int signal) {
  struct sigaction action = {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
}

/// From us to the watching thread: time to go.
int wake_up() { return SIGRTMIN; }

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, wake_up());
  for (const int signal : kRequests) {
    sigaddset(&set, signal);
  }
  for (const int signal : kEndings) {
    if (has_default_action(signal)) {
      sigaddset(&set, signal);
    }
  }
  return set;
}

/// No destructors: a library call that hangs would hang them, too.
[[noreturn]] void leave_now(int signal, const char* message) {
  if (can_say_now()) {
    say(message);
  }
  ::_exit(128 + signal);
}

}  // namespace

Session::Session() {
  const sigset_t set = our_signals();
  // Inherited by every thread that starts from here on; what the parent had blocked is not.
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
  watcher_ = start_thread([this, set](std::stop_token end) { watch(end, set); });
}

Session::~Session() {
  watcher_.request_stop();
  // Or the end of every run would wait for a tick.
  pthread_kill(watcher_.native_handle(), wake_up());
}

void Session::begin_ticks(std::function<void()> draw) {
  std::lock_guard lock(mutex_);
  draw_ = std::move(draw);
}

void Session::end_ticks() {
  std::lock_guard lock(mutex_);
  draw_ = nullptr;
}

void Session::watch(std::stop_token end, const sigset_t& signals) {
  const timespec tick = {0, kTickNanoseconds};
  int ticks_since_signal = 0;
  while (!end.stop_requested()) {
    const int got = ::sigtimedwait(&signals, nullptr, &tick);
    if (got > 0 && got != wake_up()) {
      on_signal(got);
    }
    if (signal_ != 0 && left_ == nullptr && ++ticks_since_signal > kTicksOfGrace) {
      leave_now(signal_, "vmferry: interrupted; nothing had been made yet\n");
    }
    std::lock_guard lock(mutex_);
    if (draw_) {
      draw_();
    }
  }
}

/// The system sends SIGHUP or SIGXCPU more than once for one reason: those never count.
bool Session::is_second_request(int signal) {
  if (!is_request(signal)) {
    return false;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!requested_) {
    requested_ = now;
  }
  return now - *requested_ > kSameRequest;
}

void Session::on_signal(int signal) {
  if (const char* left = left_; is_second_request(signal) && left != nullptr) {
    leave_now(signal, left);
  }
  if (signal_ == 0) {
    signal_ = signal;
  }
  stop_.request_stop();
}

}  // namespace vmferry::cli
