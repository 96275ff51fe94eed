// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_stamp.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <sstream>
#include <thread>

#include "lib/core/format_bytes.h"
#include "lib/core/utc_time.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_text.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using namespace std::chrono_literals;

/// A change leaves the time of the last tick of the kernel's clock, so two within one tick look
/// like one; the slowest clock in use ticks a hundred times a second.
constexpr std::chrono::nanoseconds kTick = 20ms;

std::chrono::nanoseconds since_epoch(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool was_changed_just_now(const struct stat& status) {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto age = since_epoch(now) - since_epoch(status.st_ctim);
  return age >= 0ns && age < kTick;
}

/// Fields of /sys/dev/block/*/stat: 7 are the sectors written, 14 those discarded. (Requests would
/// count our own flushes.)
uint64_t device_writes(dev_t device) {
  std::istringstream file(
      read_small_file(fmt::format("/sys/dev/block/{}:{}/stat", major(device), minor(device))).text);
  uint64_t sum = 0;
  uint64_t value = 0;
  for (int field = 1; field <= 14 && file >> value; ++field) {
    if (field == 7 || field == 14) {
      sum += value;
    }
  }
  return sum;
}

Error changed(const std::string& path, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = path,
                .action = "check that it is still what was opened",
                .cause = std::move(cause),
                .hint = "what was read may be a mixture; stop what changes it and start again"});
}

Error other_size(const std::string& path, uint64_t before, uint64_t now) {
  return changed(path,
                 fmt::format("it had {}, it has {} now", exact_bytes(before), exact_bytes(now)));
}

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void check_name(int fd, const std::string& path) {
  struct stat by_name;
  if (::stat(path.c_str(), &by_name) != 0) {
    if (errno == ENOENT) {
      throw changed(path, "it was removed or renamed meanwhile");
    }
    throw errno_error(errno, path, "check that it is still what was opened");
  }
  if (identity_of(by_name) != identity_of(stat_fd(fd, path))) {
    throw changed(path, "another file took its place meanwhile");
  }
}

}  // namespace

FileStamp take_file_stamp(int fd, const std::string& name) {
  FileStamp stamp = {.status = stat_fd(fd, name)};
  if (S_ISBLK(stamp.status.st_mode)) {
    sync_fd(fd, name);
    stamp.device_writes = device_writes(stamp.status.st_rdev);
  } else if (was_changed_just_now(stamp.status)) {
    std::this_thread::sleep_for(kTick);
    stamp.status = stat_fd(fd, name);
  }
  stamp.size = size_of(fd, stamp.status, name);
  return stamp;
}

std::string text_of(const FileStamp& stamp) {
  const struct stat& status = stamp.status;
  // Of a device the kernel counts what it wrote since it was made: that names neither the disk nor
  // its bytes.
  if (S_ISBLK(status.st_mode)) {
    return {};
  }
  return fmt::format("file {}:{}/{}, {} bytes, modified {}, changed {}", major(status.st_dev),
                     minor(status.st_dev), status.st_ino, stamp.size, utc_time(status.st_mtim),
                     utc_time(status.st_ctim));
}

void check_not_cut(int fd, const std::string& path, const FileStamp& stamp) {
  const uint64_t size = size_of(fd, stat_fd(fd, path), path);
  if (size < stamp.size) {
    throw other_size(path, stamp.size, size);
  }
}

void check_same_file(int fd, const std::string& path, const FileStamp& stamp) {
  const uint64_t size = size_of(fd, stat_fd(fd, path), path);
  if (size != stamp.size) {
    throw other_size(path, stamp.size, size);
  }
  if (stamp.status.st_nlink > 0) {
    check_name(fd, path);
  }
}

void check_file_unchanged(int fd, const std::string& path, const FileStamp& stamp) {
  // A network file system keeps what it knows of a file for a while: ask the server (statx(2)).
  struct statx fresh;
  ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &fresh);
  check_same_file(fd, path, stamp);
  const struct stat now = stat_fd(fd, path);
  if (qemu_writes_to(fd)) {
    throw changed(path, "a running virtual machine opened it for writing");
  }
  if (S_ISBLK(now.st_mode)) {
    sync_fd(fd, path);
    if (device_writes(now.st_rdev) != stamp.device_writes) {
      throw changed(path, "something wrote to the device meanwhile");
    }
  } else if (!same_time(now.st_mtim, stamp.status.st_mtim)) {
    throw changed(path, "something wrote to it meanwhile");
  } else if (!same_time(now.st_ctim, stamp.status.st_ctim)) {
    throw changed(path, "its owner, mode, links or times were changed meanwhile");
  }
}

}  // namespace vmferry
