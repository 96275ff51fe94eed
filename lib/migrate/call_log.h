// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "lib/store/file/unique_fd.h"
#include "vmferry/hypervisor.h"

namespace vmferry::migrate {

/// Calls in a file, a line for each: "2026-11-27 11:52:03.120 here: pivot web1 vda = done (31 ms)".
/// A line is there before its call has ended, without what follows the "=": the last line of a log
/// tells what a run that hangs waits for. Answers that are as they were before take no line of
/// their own, unless they took long. Any thread.
class CallLog : public CallTrace {
 public:
  using Clock = std::chrono::steady_clock;

  /// Goes on in the file at `path`; one that has grown long is kept as PATH.old. `console` gets
  /// whole lines; may be empty. An empty path: the console only. Throws Error.
  CallLog(const std::string& path, std::function<void(const std::string&)> console);

  uint64_t began(const std::string& call) override;
  void ended(uint64_t id, const std::string& result) override;
  void note(const std::string& text) override;

 private:
  struct Running {
    std::string call;
    std::string line;
    Clock::time_point start;
    uint64_t offset = 0;  ///< of its line
  };
  struct Answers {
    std::string last;
    unsigned repeated = 0;
  };

  void write(const std::string& text);
  void write_whole(const std::string& line);
  /// Is that line the last one, so that it can be ended or taken back?
  bool is_last(const Running& running) const {
    return running.offset + running.line.size() == size_;
  }

  const std::function<void(const std::string&)> console_;
  std::mutex mutex_;  // of all below
  UniqueFd fd_;
  uint64_t size_ = 0;
  bool line_is_open_ = false;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Running> running_;
  std::map<std::string, Answers> answers_;
};

}  // namespace vmferry::migrate
