// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/pipe/standard_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "lib/store/file/file_io.h"
#include "lib/store/pipe/pipe_size.h"

namespace vmferry {
namespace {

const std::string kInput = "standard input";

class StandardInput : public ByteStream {
 public:
  const std::string& name() const override { return kInput; }

  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    size_t length = 0;
    while (length < out.size()) {
      wait_for_bytes(stop);
      const ssize_t got = ::read(STDIN_FILENO, out.data() + length, out.size() - length);
      if (got == 0) {
        break;
      }
      if (got > 0) {
        length += static_cast<size_t>(got);
        at_ += static_cast<uint64_t>(got);
      } else if (errno != EINTR && errno != EAGAIN) {
        throw errno_error(errno, kInput, "read", at_);
      }
    }
    return length;
  }

 private:
  /// Who writes may take hours; who asks us to stop shall not. What poll() does not know (a file)
  /// it calls readable, and read() tells of errors.
  static void wait_for_bytes(const std::stop_token& stop) {
    constexpr int kLookMilliseconds = 100;
    pollfd wanted = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (!stop.stop_requested()) {
      if (::poll(&wanted, 1, kLookMilliseconds) != 0) {
        return;
      }
    }
    throw cancelled_error();
  }

  uint64_t at_ = 0;
};

}  // namespace

Error only_in_order() {
  return Error({.kind = ErrorKind::kUsage,
                .object = kInput,
                .action = "open",
                .cause = "it can be read once, from its beginning to its end: more is needed here",
                .hint = "save it to a file first (vmferry convert - FILE)"});
}

OpenStream open_standard_input() {
  if (::isatty(STDIN_FILENO) != 0) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = kInput,
                 .action = "open",
                 .cause = "it is a terminal, not a disk",
                 .hint = "pipe a disk into this command, or redirect its input"});
  }
  const struct stat status = stat_fd(STDIN_FILENO, kInput);
  OpenStream opened = {.stream = std::make_unique<StandardInput>()};
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
    opened.identity = identity_of(status);
    opened.being_written = qemu_writes_to(STDIN_FILENO);
  }
  enlarge_pipe(STDIN_FILENO);
  return opened;
}

}  // namespace vmferry
