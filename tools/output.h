// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fmt/format.h>

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

/// Is standard output a terminal?
bool is_terminal();
/// Its width in characters: what the kernel says, COLUMNS, or 80.
unsigned terminal_width();

}  // namespace vmferry::cli
