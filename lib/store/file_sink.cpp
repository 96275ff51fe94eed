// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include "lib/store/file_io.h"
#include "lib/store/file_source.h"
#include "lib/store/unique_fd.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestKeptName = 200;  // NAME_MAX is 255 on every Linux file system of note

void refuse_existing(const std::string& path, const TargetOptions& options) {
  UniqueFd existing(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!existing.valid() && errno == ENOENT) return;
  if (existing.valid()) require_disk(stat_fd(existing.get(), path), path);
  if (!options.force) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "create",
                 .cause = "the file exists",
                 .hint = "choose another name, or replace it with --force"});
  }
  if (existing.valid() && qemu_writes_to(existing.get())) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "replace",
                 .cause = "a running virtual machine has it open for writing",
                 .hint = "shut the machine down, or choose another name"});
  }
}

Error no_directory(const std::string& name) {
  return Error({.kind = ErrorKind::kNotFound,
                .object = name,
                .action = "create",
                .cause = "its directory does not exist",
                .hint = "make it first: mkdir -p"});
}

/// Opens the temporary file of the target `name` and locks it. Who killed an earlier run left it
/// behind unlocked.
UniqueFd open_temporary(const std::string& path, const std::string& name) {
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!fd.valid() && errno == ENOENT) throw no_directory(name);
    if (!fd.valid()) throw errno_error(errno, name, "create");
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) throw errno_error(errno, name, "lock");
      throw Error({.kind = ErrorKind::kConflict,
                   .object = name,
                   .action = "create",
                   .cause = "another vmferry is writing this target",
                   .hint = "wait for it to end, or choose another name"});
    }
    // Its owner may have published or removed it between our open and our lock.
    struct stat by_name;
    const struct stat by_fd = stat_fd(fd.get(), path);
    if (::stat(path.c_str(), &by_name) == 0 && by_name.st_ino == by_fd.st_ino &&
        by_name.st_dev == by_fd.st_dev) {
      return fd;
    }
  }
}

class FileSink : public Sink {
 public:
  FileSink(const std::string& path, const TargetOptions& options)
      : name_(path),
        temporary_(partial_path(path)),
        size_(options.size),
        force_(options.force),
        reflink_(options.reflink),
        may_share_(options.reflink != Reflink::kNever) {
    refuse_existing(path, options);
    if (options.before_making) options.before_making();
    fd_ = open_temporary(temporary_, name_);
    try {
      prepare();
    } catch (...) {
      ::unlink(temporary_.c_str());
      throw;
    }
  }

  ~FileSink() override {
    if (!published_) ::unlink(temporary_.c_str());
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = 1 << 20, .zero_granularity = granularity_, .starts_zeroed = true};
  }

  void write_at(uint64_t offset, Slice data) override {
    pwrite_all(fd_.get(), offset, data.bytes(), name_);
    // Starts the disk on it now, so that flush() finds little left to wait for.
    ::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(data.size()),
                      SYNC_FILE_RANGE_WRITE);
  }

  void zero_range(uint64_t offset, uint64_t length) override {
    if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
      throw errno_error(errno, name_, "punch a hole", offset);
    }
  }

  bool share_range(const Source& source, uint64_t offset, uint64_t length) override {
    if (!may_share_) return false;
    const auto* file = dynamic_cast<const FileSource*>(&source);
    if (file != nullptr) {
      struct file_clone_range range = {};
      range.src_fd = file->fd();
      range.src_offset = range.dest_offset = offset;
      range.src_length = length;
      if (::ioctl(fd_.get(), FICLONERANGE, &range) == 0) return true;
    }
    const int code = file == nullptr ? EXDEV : errno;
    if (reflink_ == Reflink::kAlways) throw cannot_share(code, offset);
    may_share_ = false;
    // Space and quota run out for a write as well, and a failed medium fails it: it will tell.
    return false;
  }

  void flush() override { sync_fd(fd_.get(), name_); }

  std::unique_ptr<Source> read_back() override {
    // What is checked should come from the disk, not from the memory that was just written.
    ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
    return std::move(open_file_source(temporary_).source);
  }

  void publish() override {
    const unsigned flags = force_ ? 0 : RENAME_NOREPLACE;
    int rc = ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, name_.c_str(), flags);
    if (rc != 0 && errno == EINVAL && !force_) rc = link_into_place();
    if (rc != 0) {
      if (errno == EEXIST) {
        throw Error({.kind = ErrorKind::kConflict,
                     .object = name_,
                     .action = "publish",
                     .cause = "somebody made a file of this name meanwhile",
                     .hint = "move it away and start again, or use --force"});
      }
      throw errno_error(errno, name_, "rename from " + temporary_);
    }
    published_ = true;
    sync_directory_of(name_);
  }

 private:
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

  void prepare() {
    struct stat status = stat_fd(fd_.get(), temporary_);
    // Empty first: what a killed run left in it must not shine through the holes.
    if (::ftruncate(fd_.get(), 0) != 0 || ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
      Error error = errno_error(errno, name_, fmt::format("set the size to {} bytes", size_));
      if (errno != EFBIG) throw error;
      throw Error({.kind = ErrorKind::kIo,
                   .object = name_,
                   .action = error.parts().action,
                   .cause = "the file system has no files that large",
                   .hint = "choose a target on another file system (XFS), or an RBD volume"});
    }
    granularity_ = static_cast<uint32_t>(std::clamp<long>(status.st_blksize, 4096, 65536));
  }

  /// For file systems that do not know RENAME_NOREPLACE; link() refuses an existing name, too.
  int link_into_place() {
    if (::link(temporary_.c_str(), name_.c_str()) != 0) return -1;
    ::unlink(temporary_.c_str());
    return 0;
  }

  const std::string name_;
  const std::string temporary_;
  const uint64_t size_;
  const bool force_;
  const Reflink reflink_;
  std::atomic<bool> may_share_;
  UniqueFd fd_;
  uint32_t granularity_ = 4096;
  bool published_ = false;
};

}  // namespace

std::string partial_path(const std::string& path) {
  const fs::path final_name(path);
  const std::string name = final_name.filename().string().substr(0, kLongestKeptName);
  return (final_name.parent_path() / ("." + name + ".vmferry-partial")).string();
}

std::unique_ptr<Sink> open_file_sink(const std::string& path, const TargetOptions& options) {
  return std::make_unique<FileSink>(path, options);
}

}  // namespace vmferry
