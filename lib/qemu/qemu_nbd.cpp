// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/qemu/qemu_nbd.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "lib/core/printable.h"
#include "lib/qemu/qemu_options.h"

namespace vmferry {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kProgram = "qemu-nbd";
constexpr int kFirstFile = 4;  // 3 is the socket
constexpr auto kPatience = std::chrono::seconds(60);
constexpr auto kToEnd = std::chrono::seconds(5);  // for one that closed its socket
constexpr std::string_view kGreeting = "NBDMAGIC";

std::string find_program(const std::string& image) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string candidate = directory + "/" + kProgram;
    struct stat status = {};
    // A relative directory would make the program depend on where we are.
    if (candidate.starts_with('/') && ::stat(candidate.c_str(), &status) == 0 &&
        S_ISREG(status.st_mode) && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  throw Error({.kind = ErrorKind::kNotFound,
               .object = image,
               .action = "read",
               .cause = "images of this format are read with qemu-nbd, which was not found",
               .hint = "install it: apt install qemu-utils (Debian, Ubuntu), dnf install qemu-img "
                       "(Fedora, RHEL)"});
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

/// The last of its lines, from where the cause is.
std::string cause_in(const std::string& said) {
  std::istringstream lines(said);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) {
      last = line;
    }
  }
  // "qemu-nbd: Failed to blk_new_open 'json:{...}': the cause"
  constexpr std::string_view kEndOfName = "}': ";
  if (const size_t name = last.find(kEndOfName); name != std::string::npos) {
    last.erase(0, name + kEndOfName.size());
  }
  return last;
}

}  // namespace

QemuNbd::QemuNbd(const QemuImage& image) : name_(image.file->name()), hint_(image.hint) {
  QemuOptions options = qemu_options(image, kFirstFile);
  files_ = std::move(options.names);
  ChildStart start = {
      .program = find_program(name_),
      .arguments = {"--read-only", "--persistent", "--shared=0", std::move(options.file_name)},
      // Each thread of a heap of its own would take of the limited address space.
      .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "MALLOC_ARENA_MAX=4"},
      .descriptors = {socket_.listener()}};
  start.descriptors.insert(start.descriptors.end(), options.descriptors.begin(),
                           options.descriptors.end());
  // It waits in the listener's queue. Made later, it would be refused where the child has ended
  // already, and nobody would learn why.
  const UniqueFd connection = socket_.connect(name_);
  child_ = std::make_unique<Child>(start);
  socket_.hand_over();
  await_greeting(connection);
}

/// It answers once the image is open. When it ends, so does the connection.
void QemuNbd::await_greeting(const UniqueFd& connection) {
  const auto deadline = Clock::now() + kPatience;
  std::string greeting;
  while (greeting.size() < kGreeting.size()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd ask = {.fd = connection.get(), .events = POLLIN, .revents = 0};
    const int ready = left <= 0ms ? 0 : ::poll(&ask, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      throw failed("qemu-nbd did not open it within a minute");
    }
    char bytes[kGreeting.size()];
    const ssize_t got = ::recv(connection.get(), bytes, kGreeting.size() - greeting.size(), 0);
    if (got <= 0) {
      const auto ended = child_->wait(kToEnd);
      const std::string said = words();
      throw failed(
          !said.empty() ? said : "qemu-nbd ended" + (ended ? " (" + *ended + ")" : std::string()));
    }
    greeting.append(bytes, static_cast<size_t>(got));
  }
  if (greeting != kGreeting) {
    throw failed("the program qemu-nbd does not speak NBD");
  }
}

/// It knows files by the numbers of their descriptors.
std::string QemuNbd::words() const {
  std::string cause = cause_in(child_->said());
  for (size_t i = files_.size(); i-- > 0;) {
    replace_all(cause, "/dev/fd/" + std::to_string(kFirstFile + static_cast<int>(i)), files_[i]);
  }
  return printable(cause);
}

Error QemuNbd::failed(const std::string& cause) const {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = name_,
                .action = "open with QEMU",
                .cause = cause,
                .hint = hint_});
}

std::optional<std::string> QemuNbd::how_it_ended() const {
  // The connection breaks a moment before.
  const std::optional<std::string> ended = child_->wait(300ms);
  if (!ended) {
    return std::nullopt;
  }
  const std::string said = words();
  return "qemu-nbd, which reads it, ended (" + *ended + ")" + (said.empty() ? "" : ": " + said);
}

}  // namespace vmferry
