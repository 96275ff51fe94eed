// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/pipe/standard_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <limits>
#include <stdexcept>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_io.h"
#include "lib/store/pipe/pipe_size.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

const std::string kOutput = "standard output";

Error cannot_take(ErrorKind kind, std::string cause, std::string hint) {
  return Error({.kind = kind,
                .object = kOutput,
                .action = "open as a target",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

class StandardOutput : public Target, private Sink {
 public:
  StandardOutput(const TargetOptions& options, mode_t mode)
      : size_(options.size), stop_(options.stop), is_socket_(S_ISSOCK(mode)) {
    if (S_ISFIFO(mode)) {
      set_up_pipe();
    }
    if (options.before_making) {
      options.before_making();
    }
  }

  Sink& sink() override { return *this; }
  /// It has no name: what was written is the reader's already.
  void publish() override {}

 private:
  const std::string& name() const override { return kOutput; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = 4 << 20, .starts_zeroed = false, .in_order = true};
  }

  void write_at(uint64_t offset, Slice data) override {
    require_next(offset);
    put(data.bytes());
  }
  void zero_range(uint64_t offset, uint64_t length) override {
    static constexpr std::array<std::byte, 256 << 10> kZeros = {};
    require_next(offset);
    while (length > 0) {
      const size_t step = std::min<uint64_t>(length, kZeros.size());
      put(std::span(kZeros).first(step));
      length -= step;
    }
  }
  void grow(uint64_t /*size*/) override {}
  void set_size(uint64_t size) override { size_ = size; }

  /// A pipe keeps nothing that could be made durable.
  void flush() override {
    if (::fsync(STDOUT_FILENO) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) {
      throw errno_error(errno, kOutput, "flush to disk");
    }
  }
  std::unique_ptr<Source> read_back() override { return nullptr; }

  void require_next(uint64_t offset) const {
    if (offset != at_) {
      throw std::logic_error("a stream is written out of order");
    }
  }

  /// A write that is longer than the room in a pipe waits, unless the pipe is non-blocking. Other
  /// programs share what we were given, and would be surprised by that. Opened anew it is ours
  /// alone (open(2), "Open file descriptions"). Where it is another user's it cannot be: then no
  /// write is longer than the least room that poll() tells of (pipe(7), PIPE_BUF).
  void set_up_pipe() {
    enlarge_pipe(STDOUT_FILENO);
    own_ = UniqueFd(::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (own_.valid()) {
      fd_ = own_.get();
    } else {
      at_once_ = PIPE_BUF;
    }
  }

  void put(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      wait_for_room();
      const ssize_t wrote = write_some(bytes.first(std::min(bytes.size(), at_once_)));
      if (wrote >= 0) {
        bytes = bytes.subspan(static_cast<size_t>(wrote));
        at_ += static_cast<uint64_t>(wrote);
      } else if (errno != EINTR && errno != EAGAIN) {
        throw failed(errno);
      }
    }
  }

  /// Who reads may do so in hours, or never; who asks us to stop shall not wait for that. What
  /// poll() does not know (a file) it calls writable, and a write tells of errors.
  void wait_for_room() const {
    constexpr int kLookMilliseconds = 100;
    pollfd wanted = {.fd = fd_, .events = POLLOUT, .revents = 0};
    while (!stop_.stop_requested()) {
      if (::poll(&wanted, 1, kLookMilliseconds) != 0) {
        return;
      }
    }
    throw cancelled_error();
  }

  ssize_t write_some(std::span<const std::byte> bytes) const {
    return is_socket_ ? ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                      : ::write(fd_, bytes.data(), bytes.size());
  }

  Error failed(int code) const {
    ErrorParts parts = errno_error(code, kOutput, "write", at_).parts();
    if (code == EPIPE) {
      parts.hint = "what read it has ended before it had the whole disk";
    }
    return Error(std::move(parts));
  }

  uint64_t size_;
  const std::stop_token stop_;
  const bool is_socket_;
  UniqueFd own_;
  int fd_ = STDOUT_FILENO;
  size_t at_once_ = std::numeric_limits<size_t>::max();
  uint64_t at_ = 0;
};

}  // namespace

std::unique_ptr<Target> open_standard_output(const TargetOptions& options) {
  if (::isatty(STDOUT_FILENO) != 0) {
    throw cannot_take(ErrorKind::kUsage, "it is a terminal, which a disk would only confuse",
                      "pipe it into another command, or redirect it to a file");
  }
  const struct stat status = stat_fd(STDOUT_FILENO, kOutput);
  const bool is_disk = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
  if (is_disk && std::find(options.sources.begin(), options.sources.end(), identity_of(status)) !=
                     options.sources.end()) {
    throw cannot_take(ErrorKind::kConflict, "it is the source, or the source is backed by it",
                      "choose another target");
  }
  return std::make_unique<StandardOutput>(options, status.st_mode);
}

}  // namespace vmferry
