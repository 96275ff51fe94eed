// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_sparsify.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "lib/core/block_walker.h"
#include "lib/core/hot_window.h"
#include "lib/core/rounding.h"
#include "lib/core/workers.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "lib/store/file/image_lock.h"
#include "lib/store/file/punch.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = 16 << 20;       // a hole for each is little work, and a stop comes soon
constexpr uint64_t kAheadBytes = 64 << 20;  // how far ahead reads are announced
constexpr uint64_t kReservedStep = uint64_t{1} << 30;  // between two looks at the stop token

UniqueFd open_image_file(const std::string& path, const InPlaceOptions& options) {
  if (!options.dry_run) {
    return open_to_change(path, options.assume_unused);
  }
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open");
  }
  require_disk(stat_fd(fd.get(), path), path);
  return fd;
}

/// One run over a file or device.
class HolePunch {
 public:
  HolePunch(const std::string& path, const InPlaceOptions& options, Progress& progress)
      : options_(options),
        progress_(progress),
        file_(open_image_file(path, options), path),
        status_(stat_fd(file_.fd(), path)),
        granularity_(S_ISREG(status_.st_mode)
                         ? static_cast<uint32_t>(std::clamp<long>(status_.st_blksize, 4096, 65536))
                         : 4096),
        walker_({.size = file_.size(),
                 .block = kBlock,
                 .ahead = kAheadBytes / kBlock,
                 .with_zeros = false,
                 .zeros_at = [this](uint64_t offset, uint64_t max) -> uint64_t {
                   const Extent extent = file_.extent_at(offset, max);
                   return extent.is_zero() ? extent.length : 0;
                 },
                 .announce = [this](uint64_t offset,
                                    uint64_t length) { file_.prefetch(offset, length); }}) {}

  SpaceUse run() {
    if (!options_.dry_run && options_.before_change) {
      options_.before_change();
    }
    run_workers(std::clamp(options_.jobs, 1u, 64u), options_.stop,
                [this](std::stop_token stop) { work(stop); });
    if (S_ISREG(status_.st_mode)) {
      give_back_reserved();
    }
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
    if (options_.dry_run) {
      file_.check_unchanged();
    } else {
      file_.check_in_place();
    }
    if (!options_.dry_run) {
      sync_fd(file_.fd(), file_.name());
    }
    return result();
  }

 private:
  void work(std::stop_token stop) {
    std::vector<std::byte> window(kHotWindow);
    std::vector<Extent> runs;
    while (const auto block = walker_.next(stop)) {
      for (uint64_t at = block->offset; at < block->end();) {
        const Extent extent = file_.extent_at(at, block->end() - at);
        if (!extent.is_zero()) {
          runs.clear();
          find_zeros(file_, extent, window, granularity_, stop, runs);
          for (const Extent& run : runs) {
            if (stop.stop_requested()) {
              throw cancelled_error();
            }
            if (run.is_zero()) {
              give_back(run);
            }
          }
          progress_.data_done += extent.length;
        }
        at = extent.end();
      }
    }
  }

  /// The whole blocks in `zeros`. The last block of a file may be a partial one.
  void give_back(const Extent& zeros) {
    const uint64_t begin = round_up(zeros.offset, granularity_);
    const bool to_the_end = zeros.end() >= file_.size() && S_ISREG(status_.st_mode);
    const uint64_t end = to_the_end ? round_up(zeros.end(), granularity_)
                                    : zeros.end() / granularity_ * granularity_;
    if (begin >= end) {
      return;
    }
    if (!options_.dry_run) {
      punch_hole(file_.fd(), begin, end - begin, file_.name());
    }
    dropped_ += end - begin;
  }

  /// What was allocated and never written reads as zero, and no scan sees it: it is a hole to
  /// SEEK_DATA.
  void give_back_reserved() {
    const uint64_t last = round_up(file_.size(), granularity_);
    bool some_behind = false;
    for_each_unwritten(file_.fd(), [&](const Extent& reserved) {
      const uint64_t end = std::min(reserved.end(), last);
      for (uint64_t at = reserved.offset; at < end; at += kReservedStep) {
        if (options_.stop.stop_requested()) {
          throw cancelled_error();
        }
        give_back({at, std::min(kReservedStep, end - at), ExtentKind::kZero});
      }
      if (reserved.end() <= last) {
        return;
      }
      some_behind = true;
      dropped_ += reserved.end() - std::max(last, reserved.offset);
    });
    if (some_behind && !options_.dry_run) {
      cut_reserve();
    }
  }

  /// No hole can be made beyond the end of a file. Cutting it to the size that it has does it.
  void cut_reserve() {
    if (::ftruncate(file_.fd(), static_cast<off_t>(file_.size())) != 0) {
      throw errno_error(errno, file_.name(), "give back what is reserved beyond its end");
    }
  }

  SpaceUse result() const {
    SpaceUse use;
    use.dropped = dropped_;
    if (!S_ISREG(status_.st_mode)) {
      return use;
    }
    use.before = bytes_taken(status_);
    if (options_.dry_run) {
      use.dropped = std::min(use.dropped, *use.before);
      use.after = *use.before - use.dropped;
    } else {
      use.after = bytes_taken(stat_fd(file_.fd(), file_.name()));
      use.dropped = *use.before - std::min(*use.before, *use.after);
    }
    return use;
  }

  const InPlaceOptions& options_;
  Progress& progress_;
  const FileSource file_;
  const struct stat status_;
  const uint32_t granularity_;
  BlockWalker walker_;
  std::atomic<uint64_t> dropped_ = 0;
};

}  // namespace

SpaceUse sparsify_file(const std::string& path, const InPlaceOptions& options, Progress& progress) {
  return HolePunch(path, options, progress).run();
}

std::optional<uint64_t> file_bytes(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "stat");
  }
  if (!S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  return bytes_taken(status);
}

}  // namespace vmferry
