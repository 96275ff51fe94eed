// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/image_lock.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "lib/store/file/file_io.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// QEMU's permissions (include/block/block-common.h), and where its locks for them lie: one byte for
// each that is used, another for each that is not shared with others.
enum Permission : off_t { kConsistentRead = 0, kWrite = 1, kWriteUnchanged = 2, kResize = 3 };
constexpr off_t kUsed = 100;
constexpr off_t kNotShared = 200;

/// NFS, SMB (three of its numbers), CephFS, 9P: there the kernel refuses a lease also where nobody
/// writes, if its server gave it none (statfs(2) has the numbers).
constexpr unsigned long kNetworks[] = {0x6969,     0x517b,     0xff534d42,
                                       0xfe534d42, 0x00c36400, 0x01021997};

struct flock byte_lock(off_t at, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

Error in_use(const std::string& name, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = name,
                .action = "lock",
                .cause = std::move(cause),
                .hint = "shut the machine down, or wait for the other program to end"});
}

Error unknown_use(const std::string& name, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = name,
                .action = "ask who has it open",
                .cause = std::move(cause),
                .hint = "make sure that nothing uses it, and say so: --assume-unused"});
}

/// Does another hold it, shared or not? Throws where that cannot be found out.
bool is_taken(int fd, off_t at, const std::string& name, bool assume_unused) {
  struct flock lock = byte_lock(at, F_WRLCK);
  if (::fcntl(fd, F_OFD_GETLK, &lock) == 0) {
    return lock.l_type != F_UNLCK;
  }
  if (assume_unused) {
    return false;
  }
  throw unknown_use(name, std::string("its file system has no locks: ") + std::strerror(errno));
}

/// Takes the bytes, to be shared with who takes the same ones.
void take(int fd, std::initializer_list<off_t> bytes, const std::string& name, bool assume_unused) {
  for (const off_t at : bytes) {
    struct flock lock = byte_lock(at, F_RDLCK);
    if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) {
      continue;
    }
    if (errno == EAGAIN || errno == EACCES) {
      throw in_use(name, "another process holds a lock on it");
    }
    if (assume_unused) {
      return;
    }
    throw unknown_use(name, std::string("its file system has no locks: ") + std::strerror(errno));
  }
}

bool is_on_a_network(int fd) {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 &&
         std::find(std::begin(kNetworks), std::end(kNetworks),
                   static_cast<unsigned long>(static_cast<uint32_t>(fs.f_type))) !=
             std::end(kNetworks);
}

}  // namespace

void refuse_open_for_writing(int fd, const std::string& name, bool assume_unused) {
  if (qemu_writes_to(fd)) {
    throw in_use(name, "a running virtual machine has it open for writing");
  }
  if (!S_ISREG(stat_fd(fd, name).st_mode)) {
    return;
  }
  // Who opens it for writing just while we have the lease makes the kernel send a signal: not
  // SIGIO, which would end us.
  ::fcntl(fd, F_SETSIG, SIGURG);
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return;
  }
  const int code = errno;
  if (code == EAGAIN && !is_on_a_network(fd)) {
    throw in_use(name, "another process, or a loop device, has it open for writing");
  }
  if (assume_unused) {
    return;
  }
  if (code == EACCES || code == EPERM) {
    throw unknown_use(name, "only its owner, or root, may ask whether it is being written to");
  }
  throw unknown_use(name, "its file system cannot tell whether it is being written to");
}

void refuse_open(int fd, const std::string& name) {
  ::fcntl(fd, F_SETSIG, SIGURG);  // as above
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
    return;
  }
  const int code = errno;
  const bool known = code == EAGAIN && !is_on_a_network(fd);
  throw Error({.kind = ErrorKind::kConflict,
               .object = name,
               .action = "ask who has it open",
               .cause = known ? "another process, or a loop device, has it open"
                              : std::string("that cannot be found out: ") + std::strerror(code),
               .hint = "'fuser -v' tells which; try again when it has ended"});
}

void refuse_open_for_writing(const std::string& path, bool assume_unused) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open");
  }
  refuse_open_for_writing(fd.get(), path, assume_unused);
}

void lock_image(int fd, const std::string& name, bool assume_unused) {
  take(
      fd,
      {kUsed + kConsistentRead, kUsed + kWriteUnchanged, kNotShared + kWrite, kNotShared + kResize},
      name, assume_unused);
  if (is_taken(fd, kUsed + kWrite, name, assume_unused) ||
      is_taken(fd, kUsed + kResize, name, assume_unused)) {
    throw in_use(name, "a running virtual machine has it open for writing");
  }
  if (is_taken(fd, kNotShared + kConsistentRead, name, assume_unused) ||
      is_taken(fd, kNotShared + kWriteUnchanged, name, assume_unused)) {
    throw in_use(name, "a QEMU process has it open and does not share it");
  }
}

void refuse_used_by_qemu(int fd, const std::string& name, bool assume_unused) {
  for (const Permission permission : {kWrite, kResize, kConsistentRead, kWriteUnchanged}) {
    for (const off_t kind : {kUsed, kNotShared}) {
      if (!is_taken(fd, kind + permission, name, assume_unused)) {
        continue;
      }
      throw in_use(name, permission == kWrite && kind == kUsed
                             ? "a running virtual machine has it open for writing"
                             : "a QEMU process has it open; it may be the base of a disk");
    }
  }
}

void lock_image_alone(int fd, const std::string& name, bool assume_unused) {
  refuse_used_by_qemu(fd, name, assume_unused);
  take(fd,
       {kUsed + kConsistentRead, kUsed + kWrite, kUsed + kResize, kNotShared + kConsistentRead,
        kNotShared + kWrite, kNotShared + kWriteUnchanged, kNotShared + kResize},
       name, assume_unused);
  // Another one may have come between the two; then both see each other, and both go.
  refuse_used_by_qemu(fd, name, assume_unused);
}

UniqueFd open_device_alone(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid() && errno == EBUSY) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "open",
                 .cause = "the device is in use (mounted, or part of LVM or RAID)",
                 .hint = "lsblk shows by what"});
  }
  if (!fd.valid()) {
    throw errno_error(errno, path, "open for writing");
  }
  // Linux lets it be opened for writing all the same, and fails each write.
  int read_only = 0;
  if (::ioctl(fd.get(), BLKROGET, &read_only) == 0 && read_only != 0) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "open for writing",
                 .cause = "the device is read-only",
                 .hint = "'blockdev --setrw' makes it writable, if that is meant"});
  }
  return fd;
}

UniqueFd open_to_change(const std::string& path, bool assume_unused) {
  refuse_open_for_writing(path, assume_unused);
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "stat");
  }
  require_disk(status, path);
  UniqueFd fd = S_ISBLK(status.st_mode)
                    ? open_device_alone(path)
                    : UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open for writing");
  }
  require_disk(stat_fd(fd.get(), path), path);
  lock_image(fd.get(), path, assume_unused);
  return fd;
}

}  // namespace vmferry
