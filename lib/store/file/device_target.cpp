// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "lib/core/format_bytes.h"
#include "lib/core/unique_fd.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "lib/store/file/file_target.h"
#include "lib/store/file/image_lock.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

class DeviceTarget : public Target, private Sink {
 public:
  DeviceTarget(const std::string& path, const TargetOptions& options)
      : name_(path), size_(options.size) {
    if (options.regular_file) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = path,
                   .action = "open",
                   .cause = "is a block device, and an image of that format is made in a file only",
                   .hint = "leave -O out: the device gets the disk itself"});
    }
    if (options.resume) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = path,
                   .action = "open",
                   .cause = "a copy to a block device cannot be resumed",
                   .hint = "leave --resume out: it is written from the beginning"});
    }
    if (!options.force) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = path,
                   .action = "open",
                   .cause = "is a block device, and all that is on it would be overwritten",
                   .hint = "pass --force if that is meant"});
    }
    fd_ = open_device_alone(path);
    lock_image_alone(fd_.get(), path, options.assume_unused);
    room_ = size_of(fd_.get(), stat_fd(fd_.get(), path), path);
    if (room_ < size_) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = path,
                   .action = "open",
                   .cause = "the device has " + exact_bytes(room_) + ", the image needs " +
                            exact_bytes(size_),
                   .hint = kLargerDevice});
    }
    if (options.before_making) {
      options.before_making();
    }
  }

  Sink& sink() override { return *this; }
  void publish() override {
    if (!flushed_) {
      throw std::logic_error("publish before flush");
    }
    refuse_used_by_qemu(fd_.get(), name_, true);
  }

 private:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = 1 << 20, .zero_granularity = 65536, .starts_zeroed = false};
  }

  void write_at(uint64_t offset, Slice data) override {
    pwrite_all(fd_.get(), offset, data.bytes(), name_);
  }

  void zero_range(uint64_t offset, uint64_t length) override {
    // BLKZEROOUT wants whole sectors, and unmaps where the device promises zeros after that.
    constexpr uint64_t kSector = 4096;
    const uint64_t begin = (offset + kSector - 1) / kSector * kSector;
    const uint64_t end = (offset + length) / kSector * kSector;
    if (begin >= end || !zero_sectors(begin, end - begin)) {
      return pwrite_zeros(fd_.get(), offset, length, name_);
    }
    pwrite_zeros(fd_.get(), offset, begin - offset, name_);
    pwrite_zeros(fd_.get(), end, offset + length - end, name_);
  }

  void grow(uint64_t size) override {
    if (size > room_) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = name_,
                   .action = "write",
                   .offset = room_,
                   .cause = "the device ends here, and the image goes on",
                   .hint = kLargerDevice});
    }
  }
  void set_size(uint64_t size) override { size_ = size; }

  void flush() override {
    sync_fd(fd_.get(), name_);
    flushed_ = true;
  }

  std::unique_ptr<Source> read_back() override {
    ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
    UniqueFd fd(::open(name_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
      throw errno_error(errno, name_, "open to verify");
    }
    return std::make_unique<FileSource>(std::move(fd), name_, size_);
  }

  bool zero_sectors(uint64_t offset, uint64_t length) {
    uint64_t range[2] = {offset, length};
    if (::ioctl(fd_.get(), BLKZEROOUT, range) == 0) {
      return true;
    }
    if (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOTTY) {
      return false;
    }
    throw errno_error(errno, name_, "write zeros", offset);
  }

  static constexpr const char* kLargerDevice = "choose a device that is at least as large";

  const std::string name_;
  uint64_t size_;
  uint64_t room_ = 0;
  UniqueFd fd_;
  bool flushed_ = false;
};

}  // namespace

std::unique_ptr<Target> open_device_target(const std::string& path, const TargetOptions& options) {
  return std::make_unique<DeviceTarget>(path, options);
}

}  // namespace vmferry
