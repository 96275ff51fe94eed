// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/copy_watch.h"

#include <fmt/format.h>

#include <thread>

#include "lib/rehearse/console_text.h"
#include "vmferry/error.h"

namespace vmferry::rehearsal {
namespace {

class CopyWatch {
 public:
  CopyWatch(Guest& copy, UpSign sign, const RehearsalRequest& request,
            const RehearsalContext& context, std::chrono::steady_clock::time_point started)
      : copy_(copy), sign_(sign), request_(request), context_(context), started_(started) {}

  void open_console() {
    unless_it_ended([&] { console_ = copy_.open_console(); });
  }

  void limit_agent() {
    constexpr std::chrono::seconds kAnswer{5};
    unless_it_ended([&] { copy_.limit_agent(kAnswer); });
  }

  WatchedCopy run() {
    WatchedCopy seen;
    while (true) {
      if (context_.stop.stop_requested()) {
        throw cancelled_error();
      }
      seen.why_not = why_dead();
      const bool dead = !seen.why_not.empty();
      listen();
      const auto age = context_.now() - started_;
      const bool up = !dead && is_up(age);
      const bool late = !dead && !up && age >= request_.timeout;
      if (late) {
        seen.why_not = what_is_missing();
      }
      if (dead || up || late) {
        seen.seconds = std::chrono::duration<double>(context_.now() - started_).count();
        seen.console = text_.end();
        return seen;
      }
      std::this_thread::sleep_for(context_.poll);
    }
  }

 private:
  std::string why_dead() const {
    switch (copy_.state()) {
      case DomainState::kRunning:
        return {};
      case DomainState::kAbsent:
      case DomainState::kShutOff:
        return "it went off by itself";
      default:
        return why_still();
    }
  }

  std::string why_still() const {
    std::string state;
    unless_it_ended([&] { state = copy_.run_state(); });
    const bool is_off = state.empty() || state == "shutdown";
    return is_off                ? "it went off by itself"
           : state == "io-error" ? "it stands still: a disk gave it an error"
                                 : "it stands still: QEMU says '" + state + "'";
  }

  /// Of a copy that goes off just then a call fails; the next look says so.
  template <typename Call>
  void unless_it_ended(Call&& call) const {
    try {
      call();
    } catch (const Error&) {
      if (copy_.state() == DomainState::kRunning) {
        throw;
      }
    }
  }

  void listen() {
    if (console_) {
      text_.add(console_->read());
    }
  }

  bool is_up(std::chrono::steady_clock::duration age) const {
    bool answers = false;
    switch (sign_) {
      case UpSign::kAgent:
        unless_it_ended([&] { answers = copy_.agent_answers(); });
        return answers;
      case UpSign::kLogin:
        return text_.saw_login();
      default:
        return age >= request_.running;
    }
  }

  std::string what_is_missing() const {
    const char* sign = sign_ == UpSign::kAgent   ? "its agent did not answer"
                       : sign_ == UpSign::kLogin ? "its console showed no login prompt"
                                                 : "it did not run that long";
    return fmt::format("{} within {} s", sign, request_.timeout.count());
  }

  Guest& copy_;
  const UpSign sign_;
  const RehearsalRequest& request_;
  const RehearsalContext& context_;
  const std::chrono::steady_clock::time_point started_;
  std::unique_ptr<GuestConsole> console_;
  ConsoleText text_;
};

}  // namespace

WatchedCopy watch_copy(Guest& copy, UpSign sign, const RehearsalRequest& request,
                       const RehearsalContext& context, bool has_console,
                       std::chrono::steady_clock::time_point started) {
  CopyWatch watch(copy, sign, request, context, started);
  if (has_console) {
    watch.open_console();
  }
  if (sign == UpSign::kAgent) {
    watch.limit_agent();
  }
  return watch.run();
}

}  // namespace vmferry::rehearsal
