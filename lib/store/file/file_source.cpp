// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_source.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/core/map_store.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_stamp.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// ZFS has named dirty pages holes (openzfs/zfs#15526): there, what is dirty is written out first.
constexpr long kZfsMagic = 0x2fc12fc1;
// The kernel cuts an announcement at the device's read-ahead or its largest request, whichever is
// more (force_page_cache_ra): 128 KiB at the least, as devices are set up.
constexpr uint64_t kAnnounced = 128 << 10;
// Of one announcement: more holes than that cost more than they save.
constexpr int kMostPieces = 64;

void settle_holes(int fd, const std::string& name) {
  struct statfs fs;
  if (::fstatfs(fd, &fs) == 0 && fs.f_type == kZfsMagic && ::fdatasync(fd) != 0) {
    throw errno_error(errno, name, "flush before looking for holes");
  }
}

}  // namespace

FileSource::FileSource(UniqueFd fd, std::string name, uint64_t at_most)
    : fd_(std::move(fd)), name_(std::move(name)) {
  stamp_ = take_file_stamp(fd_.get(), name_);
  size_ = std::min(at_most, stamp_.size);
  knows_holes_ = S_ISREG(stamp_.status.st_mode);
  if (knows_holes_) {
    settle_holes(fd_.get(), name_);
  }
  // The kernel would read ahead over holes as well, and fill memory with their zeros: what is
  // wanted next it hears from prefetch().
  ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_RANDOM);
}

/// How much data begins at `offset`, as far as that is known without asking. XFS looks through the
/// page cache for the end of what it has not written yet, so each question may cost a walk through
/// all of the file. A hole that was made meanwhile counts as data, which it may.
uint64_t FileSource::known_data_at(uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  return offset >= data_.offset && offset < data_.end() ? data_.end() - offset : 0;
}

Extent FileSource::extent_at(uint64_t offset, uint64_t max) const {
  const Extent all_data = {offset, max, ExtentKind::kData};
  if (!knows_holes_) {
    return all_data;
  }
  if (const uint64_t known = known_data_at(offset); known > 0) {
    return {offset, std::min(max, known), ExtentKind::kData};
  }
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) {
    if (errno != ENXIO) {
      return all_data;  // this file system cannot tell
    }
    // No data up to the end; of a file that was cut to before `offset` it says the same.
    check_not_cut(fd_.get(), name_, stamp_);
    return {offset, max, ExtentKind::kZero};
  }
  const auto data_at = static_cast<uint64_t>(data);
  if (data_at > offset) {
    return {offset, std::min(max, data_at - offset), ExtentKind::kZero};
  }
  const off_t hole = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_HOLE);
  if (hole < 0 || static_cast<uint64_t>(hole) <= offset) {
    return all_data;
  }
  const Extent found = {offset, static_cast<uint64_t>(hole) - offset, ExtentKind::kData};
  const std::lock_guard lock(mutex_);
  data_ = found;
  return {offset, std::min(max, found.length), ExtentKind::kData};
}

void FileSource::read_at(uint64_t offset, std::span<std::byte> out) const {
  pread_all(fd_.get(), offset, out, name_);
}

void FileSource::check_unchanged() const { check_file_unchanged(fd_.get(), name_, stamp_); }

void FileSource::check_still_there() const { check_not_cut(fd_.get(), name_, stamp_); }

void FileSource::check_in_place() const { check_same_file(fd_.get(), name_, stamp_); }

/// A byte that is in the page cache says that its neighbours are as well: asking is cheaper than
/// reading ahead over pages that are there already. REQUIRES: no hole at `offset`, which the kernel
/// would read.
bool FileSource::is_cached(uint64_t offset) const {
  std::byte probe;
  struct iovec one = {&probe, 1};
  return ::preadv2(fd_.get(), &one, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

void FileSource::announce(const Extent& data) const {
  for (uint64_t at = data.offset; at < data.end(); at += kAnnounced) {
    const uint64_t length = std::min(kAnnounced, data.end() - at);
    ::posix_fadvise(fd_.get(), static_cast<off_t>(at), static_cast<off_t>(length),
                    POSIX_FADV_WILLNEED);
  }
}

void FileSource::prefetch(uint64_t offset, uint64_t length) const {
  const uint64_t end = offset + length;
  for (int pieces = 0; offset < end && pieces < kMostPieces; ++pieces) {
    const Extent extent = extent_at(offset, end - offset);
    if (!extent.is_zero() && !is_cached(offset)) {
      announce(extent);
    }
    offset = extent.end();
  }
}

void FileSource::map(uint64_t offset, uint64_t length, const MapVisitor& visit) const {
  map_store(*this, offset, length, visit);
}

std::optional<uint64_t> FileSource::allocated_bytes() const {
  const struct stat status = stat_fd(fd_.get(), name_);
  return S_ISREG(status.st_mode) ? bytes_taken(status) : size_;
}

OpenBytes open_file_source(const std::string& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait; it does nothing to files and
  // disks.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open");
  }
  const struct stat status = stat_fd(fd.get(), path);
  require_disk(status, path);
  const bool being_written = qemu_writes_to(fd.get());
  return {std::make_unique<FileSource>(std::move(fd), path), identity_of(status), being_written};
}

}  // namespace vmferry
