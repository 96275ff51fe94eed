// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "lib/core/unique_fd.h"
#include "vmferry/call_trace.h"

namespace vmferry::migrate {

/// Calls in a file, one a line: "2026-11-27 11:52:03.120 here: pivot web1 vda = done (31 ms)". What
/// changes something has a line of its own when it begins, and so has every call that takes long:
/// "... here: pivot web1 vda ...". So the log of a run that hangs says which call it waits for. An
/// answer that is as it was before has no line. The file is made when there is something to tell:
/// a step, a change, a call that takes long. Any thread.
class CallLog : public CallTrace {
 public:
  using Clock = std::chrono::steady_clock;
  /// A call that takes as long is worth a line, whatever it answers.
  static constexpr std::chrono::milliseconds kSlow{1'000};

  /// Goes on in the file at `path`; one that has grown long is kept as PATH.old. `first` is the
  /// first line of what is written there now. `console` gets the lines without the time; may be
  /// empty. An empty path: the console only. What cannot be written is lost, without a word.
  CallLog(std::string path, const std::string& first,
          std::function<void(const std::string&)> console, std::chrono::milliseconds slow = kSlow);
  ~CallLog() override;

  uint64_t began(const std::string& call, Kind kind) override;
  void ended(uint64_t id, const std::string& result) override;
  void note(const std::string& text) override;

 private:
  struct Running {
    std::string call;
    Clock::time_point start;
    bool changes = false;
    bool told = false;  ///< that it began
  };
  struct Answers {
    std::string last;
    unsigned times = 0;
  };

  void watch(std::stop_token stop);
  void tell(const std::string& text);
  void tell_beginning(Running& running);
  void write(const std::string& text);

  const std::string path_;
  const std::function<void(const std::string&)> console_;
  const std::chrono::milliseconds slow_;
  std::mutex mutex_;  // of all below
  std::condition_variable_any wake_;
  bool is_due_ = false;  ///< the file is to be made
  std::string pending_;  ///< what is written when it is
  UniqueFd fd_;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Running> running_;
  std::map<std::string, Answers> answers_;
  std::jthread watcher_;  // last: it uses all of the above
};

}  // namespace vmferry::migrate
