// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/temporary_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "lib/core/format_bytes.h"
#include "lib/core/utf8.h"
#include "lib/store/file/file_io.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestKeptName = 200;  // NAME_MAX is 255 on every Linux file system of note
constexpr size_t kLongestStart = 170;     // of a longer name, before its hash

/// FNV-1a, 64 bits: the same in every version and on every machine.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string kept_name(const std::string& name) {
  if (name.size() <= kLongestKeptName) {
    return name;
  }
  return fmt::format("{}-{:016x}", utf8_cut(name, kLongestStart), hash_of(name));
}

Error another_run(const std::string& path) {
  return Error({.kind = ErrorKind::kConflict,
                .object = path,
                .action = "create",
                .cause = "another vmferry is writing this target",
                .hint = "wait for it to end, or choose another name"});
}

Error cannot_create(int code, const std::string& path) {
  if (code != ENOENT) {
    return errno_error(code, path, "create");
  }
  return Error({.kind = ErrorKind::kNotFound,
                .object = path,
                .action = "create",
                .cause = "its directory does not exist",
                .hint = "make it first: mkdir -p"});
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// 0, or the errno. Where the file system knows no RENAME_NOREPLACE, link() refuses a name that
/// exists as well.
int move_to_free_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
    return errno;
  }
  if (::link(from.c_str(), to.c_str()) != 0) {
    return errno;
  }
  ::unlink(from.c_str());
  return 0;
}

/// Of move_to_free_name(): this file system has no such operation.
bool is_not_possible(int code) {
  return code == EPERM || code == EOPNOTSUPP || code == ENOSYS || code == EMLINK || code == EINVAL;
}

/// A run that was killed between link() and unlink() left a second name of its target. What others
/// own, or may write to, could change after it was looked at; an empty one was not made to its end.
bool may_adopt(const struct stat& left) {
  return left.st_nlink == 1 && left.st_uid == ::geteuid() && (left.st_mode & 022) == 0 &&
         left.st_size > 0;
}

}  // namespace

std::string partial_path(const std::string& path) {
  const fs::path final_name(path);
  return (final_name.parent_path() /
          ("." + kept_name(final_name.filename().string()) + kPartialSuffix))
      .string();
}

std::string notes_path(const std::string& path) { return partial_path(path) + ".notes"; }

bool is_partial_path(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  return name.starts_with('.') && name.ends_with(kPartialSuffix);
}

void remove_unfinished_file(const std::string& path) {
  struct stat status;
  if (::lstat(partial_path(path).c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    FileNotes(notes_path(path)).remove();
    return;
  }
  const TemporaryFile in_its_place(path, {});  // which takes itself away
}

/// Opens the temporary file and locks it. Who killed an earlier run left it behind unlocked.
UniqueFd TemporaryFile::open_locked(LeftOver left_over) {
  for (;;) {
    constexpr int kHow = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd(::open(temporary_.c_str(), kHow | O_CREAT | O_EXCL, 0666));
    const bool is_new = fd.valid();
    if (!is_new && errno != EEXIST) {
      throw cannot_create(errno, path_);
    }
    if (!is_new) {
      fd = UniqueFd(::open(temporary_.c_str(), kHow));
      if (!fd.valid() && errno == ENOENT) {
        continue;
      }
      if (!fd.valid()) {
        throw errno_error(errno, temporary_, "take over what another run left");
      }
    }
    const struct stat by_fd = stat_fd(fd.get(), temporary_);
    if (!S_ISREG(by_fd.st_mode)) {
      throw errno_error(EEXIST, temporary_, "create");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      if (is_new && code != EWOULDBLOCK) {
        ::unlink(temporary_.c_str());
      }
      throw code == EWOULDBLOCK ? another_run(path_) : errno_error(code, path_, "lock");
    }
    if (is_new) {
      return fd;
    }
    // Its owner may have published or removed it before our lock.
    struct stat by_name;
    const bool is_there = ::lstat(temporary_.c_str(), &by_name) == 0;
    if (!is_there && errno != ENOENT) {
      throw errno_error(errno, temporary_, "look for it again");
    }
    if (!is_there || !same_file(by_name, by_fd)) {
      continue;
    }
    if (left_over == LeftOver::kAdopt && may_adopt(by_fd)) {
      adopted_ = true;
      return fd;
    }
    remove_left_over(by_fd);
  }
}

void TemporaryFile::remove_left_over(const struct stat& left) {
  if (::unlink(temporary_.c_str()) != 0) {
    throw errno_error(errno, temporary_, "remove what a killed run left");
  }
  struct stat notes;
  if (notice_ && ::lstat(notes_.path().c_str(), &notes) == 0) {
    notice_(fmt::format(
        "{}: an unfinished copy of it, with {}, was removed (--resume goes on with one)", path_,
        about_bytes(bytes_taken(left))));
  }
}

TemporaryFile::TemporaryFile(std::string path, std::function<void(const std::string&)> notice,
                             LeftOver left_over)
    : path_(std::move(path)),
      temporary_(partial_path(path_)),
      notice_(std::move(notice)),
      notes_(notes_path(path_)),
      fd_(open_locked(left_over)) {
  if (!adopted_) {
    notes_.remove();
  }
}

TemporaryFile::~TemporaryFile() {
  const std::optional<bool> is_ours = has_name(temporary_);
  if (published_ || kept_ || is_ours == false) {
    return;
  }
  notes_.remove();
  if (is_ours && (::unlink(temporary_.c_str()) == 0 || errno == ENOENT)) {
    return;
  }
  if (!notice_) {
    return;
  }
  notice_(fmt::format("{} could not be removed ({}); remove it: rm '{}'", temporary_,
                      std::strerror(errno), temporary_));
}

std::optional<bool> TemporaryFile::has_name(const std::string& name) const {
  struct stat by_name;
  struct stat by_fd;
  if (::fstat(fd_.get(), &by_fd) != 0) {
    return std::nullopt;
  }
  if (::lstat(name.c_str(), &by_name) == 0) {
    return same_file(by_name, by_fd);
  }
  return errno == ENOENT ? std::optional(false) : std::nullopt;
}

Error TemporaryFile::taken_away() const {
  return Error(
      {.kind = ErrorKind::kConflict,
       .object = path_,
       .action = "publish",
       .cause = "its temporary file '" + temporary_ + "' was removed or replaced meanwhile",
       .hint = "find out what does that, and start again"});
}

void TemporaryFile::rehearse_publish(bool may_replace) {
  // Names of a killed rehearsal are ours as well: we hold the lock of this target.
  const std::string from = temporary_ + ".1";
  const std::string to = temporary_ + ".2";
  for (const std::string& name : {from, to}) {
    if (::unlink(name.c_str()) != 0 && errno != ENOENT) {
      throw errno_error(errno, name, "remove what a killed run left");
    }
  }
  {
    const UniqueFd empty(::open(from.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!empty.valid()) {
      throw errno_error(errno, path_, "create a file beside it");
    }
  }
  int code = move_to_free_name(from, to);
  if (is_not_possible(code) && may_replace) {
    knows_free_names_ = false;
    code = ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
  }
  ::unlink(from.c_str());
  ::unlink(to.c_str());
  if (code == 0) {
    return;
  }
  Error error = errno_error(code, path_, "try how it will get its name");
  if (!is_not_possible(code)) {
    throw error;
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = path_,
               .action = error.parts().action,
               .cause = "this file system can neither rename without replacing, nor link (" +
                        error.parts().cause + ")",
               .hint = "with --force it gets its name even if another program takes that name "
                       "meanwhile; or choose a target on another file system"});
}

void TemporaryFile::publish(bool replace) {
  if (!has_name(temporary_).value_or(false)) {
    throw taken_away();
  }
  int code = 0;
  if (!replace && knows_free_names_) {
    code = move_to_free_name(temporary_, path_);
  } else if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    code = errno;
  }
  // An answer can be lost (a network file system): the name tells, if it can be looked at.
  published_ = has_name(path_).value_or(code == 0);
  if (published_) {
    notes_.remove();
    return make_durable();
  }
  if (code == EEXIST) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path_,
                 .action = "publish",
                 .cause = "a file of this name was made meanwhile",
                 .hint = "move it away and start again, or use --force"});
  }
  if (code == 0) {  // another's file has our name now: back with it
    move_to_free_name(path_, temporary_);
    throw taken_away();
  }
  throw errno_error(code, path_, "rename from " + temporary_);
}

void TemporaryFile::make_durable() {
  try {
    sync_directory_of(path_);
  } catch (const Error& error) {
    throw Error({.kind = error.kind(),
                 .object = path_,
                 .action = "flush its directory",
                 .cause = error.parts().cause,
                 .hint = "the target is complete under its name, but a power failure now may take "
                         "the name away; run sync(1)"});
  }
}

}  // namespace vmferry
