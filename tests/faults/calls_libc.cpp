// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of libc that a disk image and its file system see. What is here twice is one call
// under two names: with and without 64.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <system_error>
#include <thread>
#include <type_traits>

#include "tests/faults/faults.h"

using vmferry::faults::counts_any;
using vmferry::faults::counts_fd;
using vmferry::faults::counts_path;
using vmferry::faults::Moment;
using vmferry::faults::next_symbol;

/// -1 and errno, as libc tells of failures; a pointer is MAP_FAILED or null.
template <class Real>
static auto around(const char* call, bool counts, Real real) {
  return vmferry::faults::around(call, counts, real, [](int error) {
    errno = error;
    using Answer = decltype(real());
    if constexpr (std::is_integral_v<Answer>) {
      return static_cast<Answer>(-1);
    } else if constexpr (std::is_same_v<Answer, void*>) {
      return MAP_FAILED;
    } else {
      return static_cast<Answer>(nullptr);
    }
  });
}

#define CALLER __builtin_return_address(0)
#define REAL(name) static const auto real = reinterpret_cast<decltype(&::name)>(next_symbol(#name))

/// Defines `name`, which is counted as `label` where `counts`.
#define STAND_BEFORE(result, name, label, parameters, arguments, counts)      \
  extern "C" result name parameters {                                         \
    REAL(name);                                                               \
    return around(label, counts, [&]() -> result { return real arguments; }); \
  }

#define BY_FD(result, name, label, parameters, arguments, fd) \
  STAND_BEFORE(result, name, label, parameters, arguments, counts_fd(CALLER, fd))

#define BY_PATH(result, name, label, parameters, arguments, directory, path) \
  STAND_BEFORE(result, name, label, parameters, arguments, counts_path(CALLER, directory, path))

#define BY_TWO_PATHS(name, parameters, arguments, from_dir, from, to_dir, to) \
  STAND_BEFORE(int, name, #name, parameters, arguments,                       \
               counts_path(CALLER, from_dir, from) || counts_path(CALLER, to_dir, to))

// ---- data

/// A transfer of `size` bytes: may also be short or lost.
template <class Real>
static ssize_t transfer(const char* call, bool counts, size_t size, bool writes, Real real) {
  if (!counts) {
    return real(size);
  }
  const Moment moment(call);
  if (moment.error() != 0) {
    errno = moment.error();
    return -1;
  }
  if (writes && moment.lost()) {
    return static_cast<ssize_t>(size);
  }
  const ssize_t done = real(moment.part_of(size));
  if (moment.error_after() == 0) {
    return done;
  }
  errno = moment.error_after();
  return -1;
}

#define TRANSFER(name, label, data_type, writes)                                \
  extern "C" ssize_t name(int fd, data_type data, size_t size, off_t offset) {  \
    REAL(name);                                                                 \
    return transfer(label, counts_fd(CALLER, fd), size, writes,                 \
                    [&](size_t part) { return real(fd, data, part, offset); }); \
  }
TRANSFER(pread, "pread", void*, false)
TRANSFER(pread64, "pread", void*, false)
TRANSFER(pwrite, "pwrite", const void*, true)
TRANSFER(pwrite64, "pwrite", const void*, true)

extern "C" ssize_t read(int fd, void* data, size_t size) {
  REAL(read);
  return transfer("read", counts_fd(CALLER, fd), size, false,
                  [&](size_t part) { return real(fd, data, part); });
}

extern "C" ssize_t write(int fd, const void* data, size_t size) {
  REAL(write);
  return transfer("write", counts_fd(CALLER, fd), size, true,
                  [&](size_t part) { return real(fd, data, part); });
}

/// Of many pieces a short transfer sees the first half of the first.
#define VECTOR(name, label, writes, parameters, more)                                \
  extern "C" ssize_t name parameters {                                               \
    REAL(name);                                                                      \
    size_t size = 0;                                                                 \
    for (int i = 0; i < count; ++i) size += pieces[i].iov_len;                       \
    return transfer(label, counts_fd(CALLER, fd), size, writes, [&](size_t part) {   \
      const struct iovec first = {pieces[0].iov_base, pieces[0].iov_len / 2};        \
      return part == size ? real(fd, pieces, count more) : real(fd, &first, 1 more); \
    });                                                                              \
  }
#define COMMA ,
#define PLAIN (int fd, const struct iovec* pieces, int count)
#define PLACED (int fd, const struct iovec* pieces, int count, off_t offset)
#define FLAGGED (int fd, const struct iovec* pieces, int count, off_t offset, int flags)
VECTOR(readv, "readv", false, PLAIN, )
VECTOR(writev, "writev", true, PLAIN, )
VECTOR(preadv, "preadv", false, PLACED, COMMA offset)
VECTOR(preadv64, "preadv", false, PLACED, COMMA offset)
VECTOR(pwritev, "pwritev", true, PLACED, COMMA offset)
VECTOR(pwritev64, "pwritev", true, PLACED, COMMA offset)
VECTOR(preadv2, "preadv2", false, FLAGGED, COMMA offset COMMA flags)
VECTOR(preadv64v2, "preadv2", false, FLAGGED, COMMA offset COMMA flags)
VECTOR(pwritev2, "pwritev2", true, FLAGGED, COMMA offset COMMA flags)
VECTOR(pwritev64v2, "pwritev2", true, FLAGGED, COMMA offset COMMA flags)

// ---- where it lies, and that it lies there

BY_FD(int, fsync, "fsync", (int fd), (fd), fd)
BY_FD(int, fdatasync, "fdatasync", (int fd), (fd), fd)
BY_FD(int, syncfs, "syncfs", (int fd), (fd), fd)
BY_FD(int, sync_file_range, "sync_file_range", (int fd, off_t offset, off_t length, unsigned flags),
      (fd, offset, length, flags), fd)
BY_FD(int, ftruncate, "ftruncate", (int fd, off_t size), (fd, size), fd)
BY_FD(int, ftruncate64, "ftruncate", (int fd, off_t size), (fd, size), fd)
BY_FD(int, close, "close", (int fd), (fd), fd)
BY_FD(int, flock, "flock", (int fd, int how), (fd, how), fd)
BY_FD(void*, mmap, "mmap", (void* at, size_t size, int how, int flags, int fd, off_t offset),
      (at, size, how, flags, fd, offset), fd)
BY_FD(void*, mmap64, "mmap", (void* at, size_t size, int how, int flags, int fd, off_t offset),
      (at, size, how, flags, fd, offset), fd)

static const char* fallocate_label(int mode) {
  if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
    return "fallocate.PUNCH_HOLE";
  }
  return (mode & FALLOC_FL_ZERO_RANGE) != 0 ? "fallocate.ZERO_RANGE" : "fallocate";
}
BY_FD(int, fallocate, fallocate_label(mode), (int fd, int mode, off_t offset, off_t length),
      (fd, mode, offset, length), fd)
BY_FD(int, fallocate64, fallocate_label(mode), (int fd, int mode, off_t offset, off_t length),
      (fd, mode, offset, length), fd)

static const char* lseek_label(int whence) {
  return whence == SEEK_DATA   ? "lseek.SEEK_DATA"
         : whence == SEEK_HOLE ? "lseek.SEEK_HOLE"
                               : "lseek";
}
BY_FD(off_t, lseek, lseek_label(whence), (int fd, off_t offset, int whence), (fd, offset, whence),
      fd)
BY_FD(off_t, lseek64, lseek_label(whence), (int fd, off_t offset, int whence), (fd, offset, whence),
      fd)

/// The one argument that may follow; what is no pointer fits in one.
#define REST(last)                      \
  va_list rest;                         \
  va_start(rest, last);                 \
  void* argument = va_arg(rest, void*); \
  va_end(rest)

static const char* fcntl_label(int command) {
  switch (command) {
    case F_OFD_GETLK:
      return "fcntl.F_OFD_GETLK";
    case F_OFD_SETLK:
      return "fcntl.F_OFD_SETLK";
    case F_SETLEASE:
      return "fcntl.F_SETLEASE";
    case F_GETLEASE:
      return "fcntl.F_GETLEASE";
    case F_GETFL:
      return "fcntl.F_GETFL";
    case F_SETFL:
      return "fcntl.F_SETFL";
    default:
      return "fcntl";
  }
}

static int stand_before_fcntl(const void* caller, decltype(&fcntl) real, int fd, int command,
                              void* argument) {
  return around(fcntl_label(command), counts_fd(caller, fd),
                [&] { return real(fd, command, argument); });
}

extern "C" int fcntl(int fd, int command, ...) {
  REAL(fcntl);
  REST(command);
  return stand_before_fcntl(CALLER, real, fd, command, argument);
}

extern "C" int fcntl64(int fd, int command, ...) {
  REAL(fcntl64);
  REST(command);
  return stand_before_fcntl(CALLER, real, fd, command, argument);
}

static const char* ioctl_label(unsigned long request) {
  switch (request) {
    case FICLONERANGE:
      return "ioctl.FICLONERANGE";
    case FICLONE:
      return "ioctl.FICLONE";
    case FS_IOC_FIEMAP:
      return "ioctl.FIEMAP";
    case FS_IOC_GETFLAGS:
      return "ioctl.GETFLAGS";
    case BLKGETSIZE64:
      return "ioctl.BLKGETSIZE64";
    case BLKZEROOUT:
      return "ioctl.BLKZEROOUT";
    case BLKDISCARD:
      return "ioctl.BLKDISCARD";
    case BLKSSZGET:
      return "ioctl.BLKSSZGET";
    case BLKFLSBUF:
      return "ioctl.BLKFLSBUF";
    default:
      return "ioctl";
  }
}

extern "C" int ioctl(int fd, unsigned long request, ...) {
  REAL(ioctl);
  REST(request);
  return around(ioctl_label(request), counts_fd(CALLER, fd),
                [&] { return real(fd, request, argument); });
}

// ---- names

#define MODE(flags)                                                                        \
  va_list rest;                                                                            \
  va_start(rest, flags);                                                                   \
  const unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, unsigned) : 0; \
  va_end(rest)

#define OPEN(name)                                             \
  extern "C" int name(const char* path, int flags, ...) {      \
    REAL(name);                                                \
    MODE(flags);                                               \
    return around("open", counts_path(CALLER, AT_FDCWD, path), \
                  [&] { return real(path, flags, mode); });    \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                     \
  extern "C" int name(int directory, const char* path, int flags, ...) { \
    REAL(name);                                                          \
    MODE(flags);                                                         \
    return around("open", counts_path(CALLER, directory, path),          \
                  [&] { return real(directory, path, flags, mode); });   \
  }
OPENAT(openat)
OPENAT(openat64)

BY_TWO_PATHS(rename, (const char* from, const char* to), (from, to), AT_FDCWD, from, AT_FDCWD, to)
BY_TWO_PATHS(renameat, (int from_dir, const char* from, int to_dir, const char* to),
             (from_dir, from, to_dir, to), from_dir, from, to_dir, to)
BY_TWO_PATHS(renameat2,
             (int from_dir, const char* from, int to_dir, const char* to, unsigned flags),
             (from_dir, from, to_dir, to, flags), from_dir, from, to_dir, to)
BY_TWO_PATHS(link, (const char* from, const char* to), (from, to), AT_FDCWD, from, AT_FDCWD, to)
BY_TWO_PATHS(linkat, (int from_dir, const char* from, int to_dir, const char* to, int flags),
             (from_dir, from, to_dir, to, flags), from_dir, from, to_dir, to)
BY_PATH(int, unlink, "unlink", (const char* path), (path), AT_FDCWD, path)
BY_PATH(int, unlinkat, "unlinkat", (int directory, const char* path, int flags),
        (directory, path, flags), directory, path)
BY_PATH(int, remove, "remove", (const char* path), (path), AT_FDCWD, path)
BY_PATH(int, mkdir, "mkdir", (const char* path, mode_t mode), (path, mode), AT_FDCWD, path)
BY_PATH(int, access, "access", (const char* path, int how), (path, how), AT_FDCWD, path)
BY_PATH(int, faccessat, "faccessat", (int directory, const char* path, int how, int flags),
        (directory, path, how, flags), directory, path)
BY_PATH(DIR*, opendir, "opendir", (const char* path), (path), AT_FDCWD, path)
BY_PATH(ssize_t, readlink, "readlink", (const char* path, char* to, size_t size), (path, to, size),
        AT_FDCWD, path)
BY_PATH(char*, realpath, "realpath", (const char* path, char* to), (path, to), AT_FDCWD, path)

// ---- what it is

BY_PATH(int, stat, "stat", (const char* path, struct stat* out), (path, out), AT_FDCWD, path)
BY_PATH(int, stat64, "stat", (const char* path, struct stat64* out), (path, out), AT_FDCWD, path)
BY_PATH(int, lstat, "lstat", (const char* path, struct stat* out), (path, out), AT_FDCWD, path)
BY_PATH(int, lstat64, "lstat", (const char* path, struct stat64* out), (path, out), AT_FDCWD, path)
BY_PATH(int, fstatat, "fstatat", (int directory, const char* path, struct stat* out, int flags),
        (directory, path, out, flags), directory, path)
BY_PATH(int, fstatat64, "fstatat", (int directory, const char* path, struct stat64* out, int flags),
        (directory, path, out, flags), directory, path)
BY_PATH(int, statx, "statx",
        (int directory, const char* path, int flags, unsigned mask, struct statx* out),
        (directory, path, flags, mask, out), directory, path)
BY_FD(int, fstat, "fstat", (int fd, struct stat* out), (fd, out), fd)
BY_FD(int, fstat64, "fstat", (int fd, struct stat64* out), (fd, out), fd)
BY_PATH(int, statfs, "statfs", (const char* path, struct statfs* out), (path, out), AT_FDCWD, path)
BY_PATH(int, statvfs, "statvfs", (const char* path, struct statvfs* out), (path, out), AT_FDCWD,
        path)
BY_FD(int, fstatfs, "fstatfs", (int fd, struct statfs* out), (fd, out), fd)
BY_FD(int, fstatvfs, "fstatvfs", (int fd, struct statvfs* out), (fd, out), fd)

// ---- threads, and the messages of the others

namespace std {

void thread::_M_start_thread(_State_ptr state, void (*depend)()) {
  using Start = void (*)(thread*, _State_ptr, void (*)());
  static const auto real = reinterpret_cast<Start>(
      next_symbol("_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EE"
                  "PFvvE"));
  if (!counts_any(CALLER)) {
    return real(this, std::move(state), depend);
  }
  const Moment moment("thread");
  if (moment.error() != 0) {
    throw system_error(moment.error(), generic_category());
  }
  real(this, std::move(state), depend);
}

}  // namespace std

extern "C" ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  REAL(sendmsg);
  vmferry::faults::note_send();
  return real(fd, message, flags);
}
