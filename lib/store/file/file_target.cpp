// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_target.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "lib/store/file/file_io.h"
#include "lib/store/file/temporary_file.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

bool share_bytes(const Identity& a, const Identity& b) {
  return a == b || loop_file_of(a) == b || loop_file_of(b) == a;
}

void refuse_source_as_target(const std::string& path, const struct stat& status,
                             const TargetOptions& options) {
  const Identity target = identity_of(status);
  if (std::none_of(options.sources.begin(), options.sources.end(),
                   [&](const Identity& source) { return share_bytes(source, target); })) {
    return;
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = path,
               .action = "open as a target",
               .cause = "it is the source, or the source is backed by it",
               .hint = "choose another target"});
}

void refuse_reflink(const std::string& name, const TargetOptions& options) {
  if (options.reflink != Reflink::kAlways) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = name,
               .action = "open as a target",
               .cause = "only a file can share the blocks of another file",
               .hint = "leave out --reflink always"});
}

/// A name below /dev that does not exist is a typing mistake: a file there is in memory.
void refuse_file_in_dev(const std::string& path) {
  std::error_code error;
  const std::string place = fs::weakly_canonical(fs::absolute(path, error), error).string();
  if (error || !place.starts_with("/dev/") || place.starts_with("/dev/shm/")) {
    return;
  }
  throw Error({.kind = ErrorKind::kNotFound,
               .object = path,
               .action = "open as a target",
               .cause = "there is no such device, and a file in /dev would be in memory",
               .hint = "lsblk lists the devices"});
}

/// A run to the file that it belongs to would remove it as its own.
void refuse_reserved_name(const std::string& path) {
  if (!is_partial_path(path)) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = path,
               .action = "open as a target",
               .cause = "such names are for unfinished copies",
               .hint = "choose another name"});
}

}  // namespace

std::string follow_links(const std::string& path) {
  // The kernel is asked first: there are links that it does not follow (protected_symlinks in
  // proc_sys_fs(5)), and we must not either.
  struct stat status;
  if (::stat(path.c_str(), &status) != 0 && errno != ENOENT) {
    throw errno_error(errno, path, "open as a target");
  }
  constexpr int kMostLinks = 40;  // as the kernel does (path_resolution(7))
  fs::path at = path;
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const fs::path link = fs::read_symlink(at, error);
    if (error) {
      return at.string();  // not a link, or not there
    }
    at = at.parent_path() / link;  // an absolute one stands for itself
  }
  throw errno_error(ELOOP, path, "open as a target");
}

void check_path_target(const std::string& path, const TargetOptions& options) {
  if (options.layout == RbdLayout()) {
    return;
  }
  throw Error(
      {.kind = ErrorKind::kUsage,
       .object = path,
       .action = {},
       .cause = "is not an RBD volume: objects, stripes, pools and features mean nothing to it",
       .hint = "leave those options out, or name a target rbd:POOL/IMAGE"});
}

std::unique_ptr<Target> open_path_target(const std::string& name, const TargetOptions& options) {
  const std::string path = follow_links(name);
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    refuse_source_as_target(path, status, options);
    if (S_ISBLK(status.st_mode)) {
      refuse_reflink(path, options);
      return open_device_target(path, options);
    }
    require_disk(status, path);
  } else if (errno != ENOENT) {
    throw errno_error(errno, path, "open as a target");
  }
  refuse_file_in_dev(path);
  refuse_reserved_name(path);
  return make_sparse_file(path, options);
}

}  // namespace vmferry
