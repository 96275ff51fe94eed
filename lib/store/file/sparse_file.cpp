// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>

#include "lib/core/format_bytes.h"
#include "lib/core/hot_window.h"
#include "lib/core/shell_word.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "lib/store/file/image_lock.h"
#include "lib/store/file/replaced_file.h"
#include "lib/store/file/temporary_file.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

bool is_file(const Source& source) { return dynamic_cast<const FileSource*>(&source) != nullptr; }

class SparseFile : public Target, private Sink {
 public:
  SparseFile(const std::string& path, const TargetOptions& options)
      : name_(path),
        size_(options.size),
        reflink_(options.reflink),
        may_share_(options.reflink != Reflink::kNever),
        replaced_(path, options) {
    if (options.before_making) {
      options.before_making();
    }
    using LeftOver = TemporaryFile::LeftOver;
    temporary_.emplace(path, options.notice, options.resume ? LeftOver::kAdopt : LeftOver::kRemove);
    try {
      if (temporary_->adopted()) {
        refuse_used_by_qemu(fd(), temporary_->name(), options.assume_unused);
      }
      temporary_->rehearse_publish(options.force);
      prepare();
    } catch (...) {
      if (temporary_->adopted()) {
        temporary_->keep();
      }
      throw;
    }
    if (options.made) {
      options.made(identity_of(stat_fd(fd(), name_)));
    }
  }

  Sink& sink() override { return *this; }
  void publish() override { temporary_->publish(replaced_.lock_and_check_again()); }
  TargetNotes* notes() override { return &temporary_->notes(); }
  bool adopted() const override { return temporary_->adopted(); }
  std::string keep() override {
    if (temporary_->published()) {
      return {};
    }
    temporary_->keep();
    return "rm " + shell_word(temporary_->name()) + " " + shell_word(temporary_->notes().path());
  }

 private:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = kHotWindow,
            .zero_granularity = granularity_,
            .starts_zeroed = !temporary_->adopted()};
  }

  void write_at(uint64_t offset, Slice data) override {
    pwrite_all(fd(), offset, data.bytes(), name_);
    // Starts the disk on it now, so that flush() finds little left to wait for.
    ::sync_file_range(fd(), static_cast<off_t>(offset), static_cast<off_t>(data.size()),
                      SYNC_FILE_RANGE_WRITE);
  }

  void zero_range(uint64_t offset, uint64_t length) override {
    if (::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0) {
      return;
    }
    if (errno != EOPNOTSUPP) {
      throw errno_error(errno, name_, "punch a hole", offset);
    }
    pwrite_zeros(fd(), offset, length, name_);  // it cannot punch holes
  }

  bool may_share(const Source& source) const override {
    return may_share_ && (reflink_ == Reflink::kAlways || is_file(source));
  }

  bool share_range(const Source& source, uint64_t offset, uint64_t length) override {
    if (!may_share_) {
      return false;
    }
    const auto* file = dynamic_cast<const FileSource*>(&source);
    if (file != nullptr) {
      struct file_clone_range range = {};
      range.src_fd = file->fd();
      range.src_offset = range.dest_offset = offset;
      range.src_length = length;
      if (::ioctl(fd(), FICLONERANGE, &range) == 0) {
        return true;
      }
    }
    const int code = file == nullptr ? EXDEV : errno;
    if (reflink_ == Reflink::kAlways) {
      throw cannot_share(code, offset);
    }
    may_share_ = false;
    // Space and quota run out for a write as well, and a failed medium fails it: it will tell.
    return false;
  }

  void grow(uint64_t /*size*/) override {}  // as it is written
  void set_size(uint64_t size) override {
    size_ = size;
    settle_size();
  }

  void barrier() override {
    if (::fdatasync(fd()) != 0) {
      throw errno_error(errno, name_, "flush to disk");
    }
  }
  void flush() override { sync_fd(fd(), name_); }

  std::unique_ptr<Source> read_back() override {
    // What is checked should come from the disk, not from the memory that was just written.
    ::posix_fadvise(fd(), 0, 0, POSIX_FADV_DONTNEED);
    return std::move(open_file_source(temporary_->name()).source);
  }

  Error cannot_share(int code, uint64_t offset) const {
    ErrorParts parts = errno_error(code, name_, "share blocks with the source", offset).parts();
    if (code == EXDEV || code == EOPNOTSUPP || code == EINVAL || code == ENOTTY) {
      parts.kind = ErrorKind::kUnsupported;
      parts.hint =
          "both must be plain files on one file system that can (XFS, btrfs); without '--reflink "
          "always' the data is copied";
    }
    return Error(parts);
  }

  int fd() const { return temporary_->fd(); }

  void prepare() {
    struct stat status = stat_fd(fd(), temporary_->name());
    if (temporary_->adopted()) {
      require_same_size(static_cast<uint64_t>(status.st_size));
    }
    // Empty first: what a killed run left in it must not shine through the holes.
    if (!temporary_->adopted() && ::ftruncate(fd(), 0) != 0) {
      throw errno_error(errno, name_, "empty the file");
    }
    settle_size();
    granularity_ = static_cast<uint32_t>(std::clamp<long>(status.st_blksize, 4096, 65536));
  }

  void settle_size() {
    if (::ftruncate(fd(), static_cast<off_t>(size_)) == 0) {
      return;
    }
    Error error = errno_error(errno, name_, fmt::format("set the size to {} bytes", size_));
    if (errno != EFBIG || size_ > file_size_limit()) {
      throw error;
    }
    throw Error({.kind = ErrorKind::kIo,
                 .object = name_,
                 .action = error.parts().action,
                 .cause = "the file system has no files that large",
                 .hint = "choose a target on another file system (XFS), or an RBD volume"});
  }

  void require_same_size(uint64_t found) {
    if (found == size_) {
      return;
    }
    throw Error({.kind = ErrorKind::kConflict,
                 .object = temporary_->name(),
                 .action = "go on with it",
                 .cause = "it was made for a disk of " + exact_bytes(found) +
                          ", and the source has " + exact_bytes(size_),
                 .hint = "without --resume it is replaced"});
  }

  const std::string name_;
  uint64_t size_;
  const Reflink reflink_;
  std::atomic<bool> may_share_;
  ReplacedFile replaced_;
  std::optional<TemporaryFile> temporary_;
  uint32_t granularity_ = 4096;
};

}  // namespace

std::unique_ptr<Target> make_sparse_file(const std::string& path, const TargetOptions& options) {
  return std::make_unique<SparseFile>(path, options);
}

}  // namespace vmferry
