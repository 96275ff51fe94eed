// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/replaced_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "lib/store/file/file_io.h"
#include "lib/store/file/image_lock.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

Error conflict(const std::string& path, std::string action, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kConflict,
                .object = path,
                .action = std::move(action),
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

Error cannot_replace(const std::string& path, std::string cause, std::string hint) {
  return conflict(path, "replace", std::move(cause), std::move(hint));
}

bool has_attribute(const std::string& path, uint64_t attribute) {
  struct statx status;
  return ::statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status) == 0 &&
         (status.stx_attributes & attribute) != 0;
}

std::string directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

/// What makes the kernel refuse to take the name away from a file.
void refuse_fixed(const std::string& path) {
  if (has_attribute(path, STATX_ATTR_MOUNT_ROOT)) {
    throw cannot_replace(path, "something is mounted on it", "unmount it, or choose another name");
  }
  if (has_attribute(path, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
    throw cannot_replace(path, "it is marked as immutable or append-only",
                         "lsattr shows the mark, chattr -i -a takes it away");
  }
  // The kernel looks first whether a name may be taken away (sticky directories, capabilities, swap
  // files; may_delete in its fs/namei.c), and then whether it is a directory. So rmdir(2) of a file
  // tells, and does nothing.
  if (::rmdir(path.c_str()) == 0 || errno == ENOTDIR || errno == ENOENT) {
    return;
  }
  if (errno != EPERM && errno != EACCES) {
    throw errno_error(errno, path, "replace");
  }
  throw cannot_replace(path,
                       "this user may not take its name away (another user's file in a sticky "
                       "directory, or a swap file)",
                       "run as its owner, or choose another name");
}

}  // namespace

ReplacedFile::ReplacedFile(const std::string& path, const TargetOptions& options)
    : path_(path), assume_unused_(options.assume_unused) {
  const std::string directory = directory_of(path);
  if (has_attribute(directory, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
    throw conflict(path, "create", "its directory is marked as immutable or append-only",
                   "lsattr -d shows the mark, chattr -i -a takes it away");
  }
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) {
      return;
    }
    throw errno_error(errno, path, "create");
  }
  require_disk(status, path);
  if (!S_ISREG(status.st_mode)) {
    throw errno_error(EEXIST, path, "create a file");
  }
  if (!options.force) {
    throw conflict(path, "create", "the file exists",
                   "choose another name, or replace it with --force");
  }
  refuse_fixed(path);
  fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd_.valid()) {
    throw errno_error(errno, path, "open to see who uses it");
  }
  refuse_if_in_use();
  stamp_ = take_file_stamp(fd_.get(), path);
}

void ReplacedFile::refuse_if_in_use() const {
  refuse_used_by_qemu(fd_.get(), path_, assume_unused_);
  refuse_open_for_writing(fd_.get(), path_, assume_unused_);
}

bool ReplacedFile::lock_and_check_again() const {
  if (!fd_.valid()) {
    return false;
  }
  struct stat status;
  if (::stat(path_.c_str(), &status) != 0 && errno == ENOENT) {
    return false;
  }
  try {
    lock_image_alone(fd_.get(), path_, assume_unused_);
    refuse_if_in_use();
    check_file_unchanged(fd_.get(), path_, stamp_);
    refuse_fixed(path_);
  } catch (const Error& error) {
    throw cannot_replace(path_, "meanwhile: " + error.parts().cause,
                         "it was left as it is, and the copy was removed; start again when nothing "
                         "uses it any more");
  }
  return true;
}

}  // namespace vmferry
