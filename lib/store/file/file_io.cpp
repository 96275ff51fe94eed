// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_io.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <string_view>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_text.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// What the identity of a block device begins with, before its number.
constexpr std::string_view kDevice = "device ";

}  // namespace

void pread_all(int fd, uint64_t offset, std::span<std::byte> out, const std::string& name) {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      throw errno_error(errno, name, "read", offset);
    }
    if (got == 0) {
      throw Error(
          {.kind = ErrorKind::kIo,
           .object = name,
           .action = "read",
           .offset = offset,
           .cause = "the file ends here, it was longer a moment ago",
           .hint = "something cut the file while it was being read; stop that and start again"});
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

void pwrite_all(int fd, uint64_t offset, std::span<const std::byte> data, const std::string& name) {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put < 0) {
      throw errno_error(errno, name, "write", offset);
    }
    data = data.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
}

void pwrite_zeros(int fd, uint64_t offset, uint64_t length, const std::string& name) {
  static constexpr std::byte kZeros[65536] = {};
  for (const uint64_t end = offset + length; offset < end;) {
    const uint64_t step = std::min<uint64_t>(sizeof kZeros, end - offset);
    pwrite_all(fd, offset, {kZeros, step}, name);
    offset += step;
  }
}

void sync_fd(int fd, const std::string& name) {
  if (::fsync(fd) != 0) {
    throw errno_error(errno, name, "flush to disk");
  }
}

/// For a directory that may be written but not read: all of its file system is flushed.
static void sync_file_system_of(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid() || ::syncfs(fd.get()) != 0) {
    throw errno_error(errno, path, "flush to disk");
  }
}

void sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() && errno == EACCES) {
    return sync_file_system_of(path);
  }
  if (!fd.valid()) {
    throw errno_error(errno, directory, "open the directory");
  }
  if (::fsync(fd.get()) != 0 && errno != EINVAL) {
    throw errno_error(errno, directory, "flush to disk");
  }
}

struct stat stat_fd(int fd, const std::string& name) {
  struct stat status;
  if (::fstat(fd, &status) != 0) {
    throw errno_error(errno, name, "stat");
  }
  return status;
}

uint64_t bytes_taken(const struct stat& status) {
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

void require_disk(const struct stat& status, const std::string& name) {
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
    return;
  }
  const char* what = S_ISDIR(status.st_mode)    ? "is a directory"
                     : S_ISFIFO(status.st_mode) ? "is a pipe"
                     : S_ISCHR(status.st_mode)  ? "is a character device"
                     : S_ISSOCK(status.st_mode) ? "is a socket"
                                                : "is something else";
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = name,
               .action = "open",
               .cause = fmt::format("{}, not a file or block device", what),
               .hint = S_ISDIR(status.st_mode) ? "name a file in that directory" : ""});
}

uint64_t size_of(int fd, const struct stat& status, const std::string& name) {
  if (!S_ISBLK(status.st_mode)) {
    return static_cast<uint64_t>(status.st_size);
  }
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0) {
    throw errno_error(errno, name, "ask for the size");
  }
  return size;
}

uint64_t file_size_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::numeric_limits<uint64_t>::max();
  }
  return limit.rlim_cur;
}

Identity identity_of(const struct stat& status) {
  if (S_ISBLK(status.st_mode)) {
    return {fmt::format("{}{}:{}", kDevice, major(status.st_rdev), minor(status.st_rdev))};
  }
  return {fmt::format("file {}:{}", status.st_dev, status.st_ino)};
}

bool qemu_writes_to(int fd) {
  for (const off_t permission : {1, 3}) {
    struct flock lock = {};
    lock.l_type = F_WRLCK;  // asks about readers of the lock too: QEMU's own are shared
    lock.l_whence = SEEK_SET;
    lock.l_start = 100 + permission;
    lock.l_len = 1;
    if (::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
      return true;
    }
  }
  return false;
}

std::optional<Identity> loop_file_of(const Identity& device) {
  if (!device.text.starts_with(kDevice)) {
    return std::nullopt;
  }
  const std::string number = device.text.substr(kDevice.size());
  for (const char* where : {"/loop/backing_file", "/../loop/backing_file"}) {
    std::string path = read_small_file("/sys/dev/block/" + number + where).text;
    path.resize(path.find_last_not_of('\n') + 1);
    struct stat status;
    if (!path.empty() && ::stat(path.c_str(), &status) == 0) {
      return identity_of(status);
    }
  }
  return std::nullopt;
}

}  // namespace vmferry
