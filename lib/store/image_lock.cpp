// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/image_lock.h"

#include <fcntl.h>

#include <cerrno>

#include "lib/store/file_io.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// QEMU's permissions (include/block/block-common.h), and where its locks for them lie: one byte for
// each that is used, another for each that is not shared with others.
enum Permission { kConsistentRead = 0, kWrite = 1, kWriteUnchanged = 2, kResize = 3 };
constexpr off_t kUsed = 100;
constexpr off_t kNotShared = 200;

struct flock byte_lock(off_t at, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

/// Does another hold it, shared or not?
bool is_taken(int fd, off_t at) {
  struct flock lock = byte_lock(at, F_WRLCK);
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

Error in_use(const std::string& name, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = name,
                .action = "lock",
                .cause = std::move(cause),
                .hint = "shut the machine down, or wait for the other program to end"});
}

}  // namespace

void refuse_open_for_writing(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) throw errno_error(errno, path, "open");
  if (::fcntl(fd.get(), F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd.get(), F_SETLEASE, F_UNLCK);
  } else if (errno == EAGAIN) {
    throw in_use(path, qemu_writes_to(fd.get())
                           ? "a running virtual machine has it open for writing"
                           : "another process, or a loop device, has it open for writing");
  }
}

void lock_image(int fd, const std::string& name) {
  for (const off_t at : {kUsed + kConsistentRead, kUsed + kWriteUnchanged, kNotShared + kWrite,
                         kNotShared + kResize}) {
    struct flock lock = byte_lock(at, F_RDLCK);
    if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) continue;
    if (errno != EAGAIN && errno != EACCES) return;  // no locks here, so nobody holds one
    throw in_use(name, "another process holds a lock on it");
  }
  if (qemu_writes_to(fd)) {
    throw in_use(name, "a running virtual machine has it open for writing");
  }
  if (is_taken(fd, kNotShared + kConsistentRead) || is_taken(fd, kNotShared + kWriteUnchanged)) {
    throw in_use(name, "a QEMU process has it open and shares it with nobody");
  }
}

UniqueFd open_to_change(const std::string& path) {
  refuse_open_for_writing(path);
  int how = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) throw errno_error(errno, path, "stat");
  require_disk(status, path);
  // On a block device O_EXCL means: not while it is mounted or part of something else (open(2)).
  if (S_ISBLK(status.st_mode)) how |= O_EXCL;
  UniqueFd fd(::open(path.c_str(), how));
  if (!fd.valid() && errno == EBUSY) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "open",
                 .cause = "the device is in use (mounted, or part of LVM or RAID)",
                 .hint = "lsblk shows by what"});
  }
  if (!fd.valid()) throw errno_error(errno, path, "open for writing");
  require_disk(stat_fd(fd.get(), path), path);
  lock_image(fd.get(), path);
  return fd;
}

}  // namespace vmferry
