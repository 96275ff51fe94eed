// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/say.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "lib/core/printable.h"

namespace vmferry::cli {
namespace {

constexpr int kForEver = -1;

bool becomes_writable(int fd, int patience_ms) noexcept {
  pollfd wanted = {.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&wanted, 1, patience_ms) > 0;
}

}  // namespace

int write_fully(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put >= 0) {
      text.remove_prefix(static_cast<size_t>(put));
    } else if (errno == EAGAIN) {
      becomes_writable(fd, kForEver);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void say(std::string_view text) noexcept { write_fully(STDERR_FILENO, text); }

bool can_say_now() noexcept { return becomes_writable(STDERR_FILENO, 0); }

void say_line(const std::string& text) noexcept {
  try {
    say(printable(text) + "\n");
  } catch (const std::exception&) {
    say("vmferry: out of memory\n");  // for a message, too
  }
}

void say_notice(const std::string& text) noexcept { say_line("vmferry: " + text); }

}  // namespace vmferry::cli
