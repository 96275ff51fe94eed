// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/punch.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <vector>

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint32_t kExtentsPerAnswer = 512;

}  // namespace

void punch_hole(int fd, uint64_t offset, uint64_t length, const std::string& name) {
  int rc;
  do {
    rc = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length));
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) {
    return;
  }
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    throw errno_error(errno, name, "punch a hole", offset);
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = name,
               .action = "punch a hole",
               .offset = offset,
               .cause = "its file system has no holes, or the device does not promise zeros for "
                        "what it drops",
               .hint = "make a sparse copy on another store: vmferry sparsify SOURCE TARGET"});
}

void for_each_unwritten(int fd, const std::function<void(const Extent&)>& found) {
  std::vector<uint64_t> memory(
      (sizeof(struct fiemap) + kExtentsPerAnswer * sizeof(struct fiemap_extent)) /
          sizeof(uint64_t) +
      1);
  auto* map = reinterpret_cast<struct fiemap*>(memory.data());
  for (uint64_t at = 0;;) {
    *map = {};
    map->fm_start = at;
    map->fm_length = FIEMAP_MAX_OFFSET - at;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kExtentsPerAnswer;
    if (::ioctl(fd, FS_IOC_FIEMAP, map) != 0 || map->fm_mapped_extents == 0) {
      return;
    }
    bool last = false;
    for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const struct fiemap_extent& extent = map->fm_extents[i];
      if ((extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0) {
        found({extent.fe_logical, extent.fe_length, ExtentKind::kZero});
      }
      at = extent.fe_logical + extent.fe_length;
      last = (extent.fe_flags & FIEMAP_EXTENT_LAST) != 0;
    }
    if (last) {
      return;
    }
  }
}

}  // namespace vmferry
