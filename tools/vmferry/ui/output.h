// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fmt/format.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace vmferry::cli {

/// Standard output for results that may be long, written in large pieces. Throws Error kIo when it
/// cannot be written (the disk is full, the reader went away). One thread.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Where to put what comes next, with fmt::format_to and fmt::appender. Call flush_if_full()
  /// now and then.
  fmt::memory_buffer& buffer() { return buffer_; }
  void put(std::string_view text);
  void flush_if_full();
  /// At the end: what is not flushed is not written.
  void flush();

 private:
  fmt::memory_buffer buffer_;
};

/// A short result, all at once. Throws as Output does.
void print(std::string_view text);
/// What is said about work that is done: an Error names `done` ("the target is complete"), since
/// only the report is missing.
void print_report(std::string_view text, const std::string& done);

/// How every command writes JSON. Names of files need not be UTF-8, JSON has to be: each byte that
/// does not fit becomes U+FFFD, as in the JSON of QEMU's tools. `indent` < 0: on one line.
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

/// Is standard output a terminal?
bool is_terminal();
/// Width in characters of the terminal that is descriptor `fd`: what the kernel says, COLUMNS, or
/// 80.
unsigned terminal_width(int fd);

}  // namespace vmferry::cli
