// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

constexpr size_t kPiece = size_t{64} << 10;

}  // namespace

void Output::put(std::string_view text) {
  buffer_.append(text);
  flush_if_full();
}

void Output::flush_if_full() {
  if (buffer_.size() >= kPiece) flush();
}

void Output::flush() {
  const char* at = buffer_.data();
  size_t left = buffer_.size();
  while (left > 0) {
    const ssize_t put = ::write(STDOUT_FILENO, at, left);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw errno_error(errno, "standard output", "write");
    at += put;
    left -= static_cast<size_t>(put);
  }
  buffer_.clear();
}

bool is_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

unsigned terminal_width() {
  winsize size = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const long width = columns != nullptr ? std::strtol(columns, nullptr, 10) : 0;
  return width > 0 && width < 10000 ? static_cast<unsigned>(width) : 80;
}

}  // namespace vmferry::cli
