// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tools/vmferry/ui/say.h"
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
  if (buffer_.size() >= kPiece) {
    flush();
  }
}

void Output::flush() {
  print({buffer_.data(), buffer_.size()});
  buffer_.clear();
}

void print(std::string_view text) {
  if (const int error = write_fully(STDOUT_FILENO, text); error != 0) {
    ErrorParts parts = errno_error(error, "standard output", "write").parts();
    parts.hint.clear();  // those of files do not help
    throw Error(std::move(parts));
  }
}

void print_report(std::string_view text, const std::string& done) {
  try {
    print(text);
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    parts.hint = done + "; only this report is missing";
    throw Error(parts);
  }
}

std::string json_text(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool is_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

unsigned terminal_width(int fd) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  const char* columns = std::getenv("COLUMNS");
  const long width = columns != nullptr ? std::strtol(columns, nullptr, 10) : 0;
  return width > 0 && width < 10000 ? static_cast<unsigned>(width) : 80;
}

}  // namespace vmferry::cli
