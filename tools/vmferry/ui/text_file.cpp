// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/text_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>

#include "lib/core/unique_fd.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

/// For a descriptor that another program made non-blocking.
bool wait_for_input(int fd) {
  pollfd wanted = {.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, -1) > 0;
}

}  // namespace

std::string read_text_file(const std::string& path, size_t most) {
  UniqueFd file;
  if (path != "-") {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.valid()) {
      throw errno_error(errno, path, "open");
    }
  }
  const int fd = file.valid() ? file.get() : STDIN_FILENO;
  std::string text;
  while (text.size() <= most) {
    char piece[65536];
    const size_t wanted = std::min(sizeof piece, most + 1 - text.size());
    const ssize_t got = ::read(fd, piece, wanted);
    if (got < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_input(fd)))) {
      continue;
    }
    if (got < 0) {
      throw errno_error(errno, path == "-" ? "standard input" : path, "read");
    }
    if (got == 0) {
      break;
    }
    text.append(piece, static_cast<size_t>(got));
  }
  return text;
}

namespace {

/// Ready to be published.
std::unique_ptr<Target> written_text(const std::string& path, const std::string& text,
                                     const TargetOptions& options) {
  if (struct stat is = {}; ::stat(path.c_str(), &is) == 0 && !S_ISREG(is.st_mode)) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "write",
                 .cause = "it exists, and it is not a file",
                 .hint = "name a new file"});
  }
  std::unique_ptr<Target> target = open_target(PathLocation{path}, options);
  const auto memory = std::make_shared<const std::string>(text);
  const auto bytes = std::as_bytes(std::span(*memory));
  target->sink().write_at(0, Slice(std::shared_ptr<const std::byte>(memory, bytes.data()), bytes));
  target->sink().flush();
  return target;
}

}  // namespace

void write_text_file(Session& session, const std::string& path, const std::string& text, bool force,
                     const std::vector<Identity>& sources) {
  TargetOptions options;
  options.size = text.size();
  options.force = force;
  options.sources = sources;
  options.before_making = [&session] { session.making_something(); };
  const std::unique_ptr<Target> target = written_text(path, text, options);
  if (session.stop().stop_requested()) {
    throw cancelled_error();
  }
  target->publish();
}

void keep_text_file(const std::string& path, const std::string& text) {
  TargetOptions options;
  options.size = text.size();
  options.force = true;
  written_text(path, text, options)->publish();
}

}  // namespace vmferry::cli
