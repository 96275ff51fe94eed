// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/replaced_file.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "lib/store/file_io.h"
#include "lib/store/image_lock.h"
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

/// The capability that sticky directories ask for, as /proc/self/status tells ("CapEff:").
bool may_remove_of_others() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "CapEff:") continue;
    uint64_t bits = 0;
    status >> std::hex >> bits;
    return (bits >> CAP_FOWNER & 1) != 0;
  }
  return ::geteuid() == 0;
}

bool is_swap_file(const struct stat& status) {
  std::ifstream swaps("/proc/swaps");
  std::string name;
  for (std::string rest; swaps >> name; std::getline(swaps, rest)) {
    struct stat swap;
    if (::stat(name.c_str(), &swap) == 0 && identity_of(swap) == identity_of(status)) return true;
  }
  return false;
}

/// What makes the kernel refuse to take the name away from a file (may_delete in its fs/namei.c).
void refuse_fixed(const std::string& path, const struct stat& status) {
  if (has_attribute(path, STATX_ATTR_MOUNT_ROOT)) {
    throw cannot_replace(path, "something is mounted on it", "unmount it, or choose another name");
  }
  if (has_attribute(path, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
    throw cannot_replace(path, "it is marked as immutable or append-only",
                         "lsattr shows the mark, chattr -i -a takes it away");
  }
  if (is_swap_file(status))
    throw cannot_replace(path, "it is used as swap space", "see swapoff(8)");
  const std::string directory = directory_of(path);
  struct stat parent;
  if (::stat(directory.c_str(), &parent) != 0) throw errno_error(errno, directory, "stat");
  const bool is_ours = status.st_uid == ::geteuid() || parent.st_uid == ::geteuid();
  if ((parent.st_mode & S_ISVTX) != 0 && !is_ours && !may_remove_of_others()) {
    throw cannot_replace(path, "it belongs to another user, and its directory is sticky",
                         "run as its owner, or choose another name");
  }
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
    if (errno == ENOENT) return;
    throw errno_error(errno, path, "create");
  }
  require_disk(status, path);
  if (!options.force) {
    throw conflict(path, "create", "the file exists",
                   "choose another name, or replace it with --force");
  }
  refuse_fixed(path, status);
  fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd_.valid()) throw errno_error(errno, path, "open to see who uses it");
  refuse_if_in_use();
  stamp_ = take_file_stamp(fd_.get(), path);
}

void ReplacedFile::refuse_if_in_use() const {
  refuse_used_by_qemu(fd_.get(), path_, assume_unused_);
  // A lease says more than QEMU's locks, but often nothing: then those locks have to do.
  constexpr bool kLocksWillDo = true;
  refuse_open_for_writing(fd_.get(), path_, kLocksWillDo);
}

bool ReplacedFile::lock_and_check_again() const {
  if (!fd_.valid()) return false;
  struct stat status;
  if (::stat(path_.c_str(), &status) != 0 && errno == ENOENT) return false;
  try {
    lock_image_alone(fd_.get(), path_, assume_unused_);
    refuse_if_in_use();
    check_file_unchanged(fd_.get(), path_, stamp_);
    refuse_fixed(path_, status);
  } catch (const Error& error) {
    throw cannot_replace(path_, "meanwhile: " + error.parts().cause,
                         "it was left as it is, and the copy was removed; start again when nothing "
                         "uses it any more");
  }
  return true;
}

}  // namespace vmferry
