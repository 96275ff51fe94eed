// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/storage.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "lib/core/unique_fd.h"
#include "lib/format/qcow2/qcow2_empty.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/image_lock.h"
#include "lib/store/file/new_file.h"
#include "vmferry/create.h"
#include "vmferry/error.h"

namespace vmferry {
namespace migrate {
namespace {

/// Of file systems that several hosts can mount (statfs(2), and the kernel's magic.h).
bool on_shared_file_system(const std::string& path) {
  constexpr std::array<uint32_t, 10> kShared = {
      0x6969,      // NFS
      0x00c36400,  // CephFS
      0x65735546,  // FUSE: GlusterFS, ceph-fuse, sshfs
      0xff534d42,  // CIFS
      0xfe534d42,  // SMB2
      0x01161970,  // GFS2
      0x7461636f,  // OCFS2
      0x47504653,  // GPFS
      0x0bd00bd0,  // Lustre
      0x5346414f,  // AFS
  };
  struct statfs fs;
  if (::statfs(path.c_str(), &fs) != 0) {
    throw errno_error(errno, path, "statfs");
  }
  return std::find(kShared.begin(), kShared.end(), static_cast<uint32_t>(fs.f_type)) !=
         kShared.end();
}

int64_t mtime_of(const struct stat& status) {
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

/// Opens the file to remove. Not valid: there is none.
UniqueFd open_old(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid() && errno != ENOENT) {
    throw errno_error(errno, path, "open");
  }
  return fd;
}

Error not_as_it_was(const std::string& path, const char* cause) {
  return Error({.kind = ErrorKind::kConflict, .object = path, .action = "remove", .cause = cause});
}

}  // namespace

struct stat stat_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "stat");
  }
  return status;
}

std::optional<FileLook> HostAndCluster::look(const std::string& path) {
  if (!file_exists(path)) {
    return std::nullopt;
  }
  const struct stat status = stat_of(path);
  return FileLook{.identity = identity_of(status).text,
                  .real = std::filesystem::canonical(path).string(),
                  .link = std::filesystem::is_symlink(path),
                  .device = S_ISBLK(status.st_mode),
                  .shared = on_shared_file_system(path),
                  .size = static_cast<uint64_t>(status.st_size),
                  .modified = mtime_of(status)};
}

void HostAndCluster::remove_image(const HostImage& image) {
  if (image.volume) {
    return remove_old_volume(image);
  }
  const UniqueFd fd = open_old(image.path);
  if (!fd.valid()) {
    return;
  }
  if (identity_of(stat_fd(fd.get(), image.path)).text != image.identity) {
    throw not_as_it_was(image.path, "it is not the file any more that was copied");
  }
  lock_image_alone(fd.get(), image.path, false);
  remove_file(image.path, std::nullopt);
}

void HostAndCluster::remove_old_file(const OldFile& file) {
  const UniqueFd fd = open_old(file.path);
  if (!fd.valid()) {
    return;
  }
  refuse_open(fd.get(), file.path);
  lock_image_alone(fd.get(), file.path, false);
  const struct stat status = stat_fd(fd.get(), file.path);
  if (!S_ISREG(status.st_mode) || identity_of(status).text != file.identity) {
    throw not_as_it_was(file.path, "it is not the file any more that was copied");
  }
  if (static_cast<uint64_t>(status.st_size) != file.size || mtime_of(status) != file.modified) {
    throw not_as_it_was(file.path, "it was written to since the move");
  }
  remove_file(file.path, std::nullopt);
}

bool HostAndCluster::file_exists(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return false;
  }
  throw errno_error(errno, path, "stat");
}

uint64_t HostAndCluster::file_allocation(const std::string& path) {
  const struct stat status = stat_of(path);
  if (!S_ISBLK(status.st_mode)) {
    return bytes_taken(status);
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open");
  }
  return size_of(fd.get(), status, path);
}

uint64_t HostAndCluster::free_space(const std::string& path) {
  struct statvfs status;
  if (::statvfs(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "ask for the free space");
  }
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

std::string HostAndCluster::file_system(const std::string& path) {
  return std::to_string(stat_of(path).st_dev);
}

bool HostAndCluster::remove_file(const std::string& path,
                                 const std::optional<std::string>& identity) {
  remove_unfinished(PathLocation{path}, {});
  const std::optional<FileLook> found = identity ? look(path) : std::nullopt;
  if (found && found->identity != *identity) {
    return false;
  }
  if (::unlink(path.c_str()) == 0) {
    sync_directory_of(path);
  } else if (errno != ENOENT) {
    throw errno_error(errno, path, "remove");
  }
  return true;
}

void HostAndCluster::create_overlay(const std::string& path, uint64_t size,
                                    const std::string& backing, const std::string& backing_format) {
  const EmptyQcow2 image = make_empty_qcow2(size, backing, backing_format, path);
  about_to_make();
  create_file(path, image.file_size, image.start);
}

void HostAndCluster::create_empty_file(const std::string& path, uint64_t size,
                                       const ImageLayout& layout, const Made& made) {
  const std::unique_ptr<Target> target =
      create_image(PathLocation{path}, new_target(size, made), layout);
  target->sink().flush();
  target->publish();
}

}  // namespace migrate
}  // namespace vmferry
