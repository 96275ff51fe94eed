// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/copy.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "lib/core/block_hasher.h"
#include "lib/core/block_walker.h"
#include "lib/core/copy_in_order.h"
#include "lib/core/hot_window.h"
#include "lib/core/rounding.h"
#include "lib/core/workers.h"
#include "lib/core/zeros.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = 4 << 20;        // what one worker takes at a time, at least
constexpr uint64_t kAheadBytes = 64 << 20;  // how far ahead reads are announced
constexpr uint64_t kGapPart = 8;            // see Source::preferred_read()
constexpr uint64_t kZeroStep = 1 << 30;     // zeroing may be slow on a device: look at stop often

uint64_t next_multiple(uint64_t value, uint64_t multiple) {
  return (value / multiple + 1) * multiple;
}

/// What a worker has read and looked at, and what of it waits for what may follow it: data, which
/// lies in the buffer, and zeros. Memory is taken when there is something to read.
struct Looked {
  std::optional<Buffer> buffer;
  size_t used = 0;
  Extent data = {};
  size_t position = 0;  ///< of the data, in the buffer
  Extent zeros = {};
  BlockHasher* hasher = nullptr;  ///< sees what is read
};

/// One run of copy(). A block is cut into windows: what may be written at once. Of a window so much
/// is read at a time as stays in the processor's cache, and zeros among it leave their place in the
/// buffer to what comes next.
class Copier {
 public:
  Copier(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress)
      : source_(source),
        sink_(sink),
        traits_(sink.traits()),
        jobs_(std::clamp(options.jobs, 1u, 64u)),
        unit_(traits_.write_unit),
        far_(source.preferred_read()),
        gap_(std::max<uint64_t>(traits_.zero_granularity, far_ / kGapPart)),
        window_(round_up(std::max({uint64_t{traits_.write_size}, source.read_alignment(), far_}),
                         std::max<uint64_t>(unit_, 4096))),
        hot_(round_up(round_up(std::max<uint64_t>(kHotWindow, far_), source.read_alignment()),
                      unit_)),
        pool_(std::max<size_t>(2, options.memory / window_), window_),
        digest_(options.digest),
        digest_from_(options.digest_from),
        progress_(progress),
        walker_(walk_rules()) {}

  void run(std::stop_token stop) {
    run_workers(jobs_, stop, [this](std::stop_token any_stop) { work(any_stop); });
  }

 private:
  BlockWalker::Rules walk_rules() const {
    const uint64_t block = round_up(kBlock, window_);
    return {
        .size = source_.size(),
        .block = block,
        .ahead = kAheadBytes / block,
        .with_zeros = !traits_.starts_zeroed,
        .zeros_at = [this](uint64_t offset, uint64_t max) -> uint64_t {
          const Extent extent = source_.extent_at(offset, max);
          if (!extent.is_zero() || extent.length == max) {
            return extent.is_zero() ? max : 0;
          }
          return extent.end() / unit_ * unit_ - offset;
        },
        .announce = [this](uint64_t offset, uint64_t length) { source_.prefetch(offset, length); }};
  }

  void work(std::stop_token stop) {
    std::vector<Extent> runs;
    while (const auto next = walker_.next(stop)) {
      if (stop.stop_requested()) {
        throw cancelled_error();
      }
      if (next->is_zero()) {
        zero(*next, stop);
      } else {
        copy_block(*next, runs, stop);
      }
    }
  }

  void copy_block(const Extent& block, std::vector<Extent>& runs, std::stop_token stop) {
    const uint64_t data = find_runs(block, runs);
    BlockHasher hasher(digest_now(), block.offset, block.end());
    Looked looked;
    if (sink_.may_share(source_)) {
      runs = share_runs(runs, hasher, stop);
    } else {
      looked.hasher = &hasher;
    }
    for (uint64_t at = block.offset; at < block.end();) {
      const uint64_t end = std::min(block.end(), next_multiple(at, window_));
      copy_window(at, end, runs, looked, stop);
      at = end;
    }
    zero(looked.zeros, stop);
    hasher.finish();
    progress_.data_done += data;
  }

  DiskDigest* digest_now() const {
    const bool wanted = digest_ != nullptr && std::chrono::steady_clock::now() >= digest_from_;
    return wanted ? digest_ : nullptr;
  }

  /// What the source says of the block, zeros too short for the sink, or not worth two reads,
  /// counted as data. Returns how much of it the source calls data.
  uint64_t find_runs(const Extent& block, std::vector<Extent>& runs) {
    runs.clear();
    uint64_t data = 0;
    for (uint64_t at = block.offset; at < block.end();) {
      Extent extent = source_.extent_at(at, block.end() - at);
      at = extent.end();
      // extent_at need not give the longest: what follows may belong to it.
      while (extent.is_zero() && at < block.end() && extent.length < gap_) {
        const Extent next = source_.extent_at(at, block.end() - at);
        if (!next.is_zero()) {
          break;
        }
        extent.length += next.length;
        at = extent.end();
      }
      if (!extent.is_zero()) {
        data += extent.length;
      }
      const bool at_an_end = extent.offset == block.offset || extent.end() == block.end();
      if (extent.is_zero() && extent.length < gap_ && !at_an_end) {
        extent.kind = ExtentKind::kData;
      }
      append_run(runs, extent);
    }
    if (unit_ > 1) {
      runs = in_whole_units(runs, block.end());
    }
    return data;
  }

  /// Runs that end at `end`, with zeros that do not fill a unit counted as data.
  std::vector<Extent> in_whole_units(const std::vector<Extent>& runs, uint64_t end) const {
    std::vector<Extent> whole;
    const auto append = [&whole](uint64_t from, uint64_t to, ExtentKind kind) {
      if (from < to) {
        append_run(whole, {from, to - from, kind});
      }
    };
    for (const Extent& run : runs) {
      const uint64_t from = std::min(round_up(run.offset, unit_), run.end());
      const uint64_t to = run.end() == end ? end : std::max(from, run.end() / unit_ * unit_);
      append(run.offset, from, ExtentKind::kData);
      append(from, to, run.kind);
      append(to, run.end(), ExtentKind::kData);
    }
    return whole;
  }

  /// Shares what is not zero, which needs no writing. Returns what is left to do.
  std::vector<Extent> share_runs(const std::vector<Extent>& runs, BlockHasher& hasher,
                                 std::stop_token stop) {
    std::vector<Extent> looked;
    Buffer buffer = pool_.acquire(stop, check_writes_);
    const auto window = buffer.bytes().first(std::min(hot_, window_));
    for (const Extent& run : runs) {
      if (run.is_zero()) {
        append_run(looked, run);
      } else {
        find_zeros(source_, run, window, traits_.zero_granularity, stop, looked,
                   [&hasher](uint64_t at, auto bytes) { hasher.add(at, bytes); });
      }
    }
    std::erase_if(looked, [this](const Extent& run) {
      if (run.is_zero() || !sink_.share_range(source_, run.offset, run.length)) {
        return false;
      }
      progress_.bytes_written += run.length;
      progress_.bytes_shared += run.length;
      return true;
    });
    return looked;
  }

  /// The part of `runs` that lies in [begin, end), which fits one buffer.
  void copy_window(uint64_t begin, uint64_t end, const std::vector<Extent>& runs, Looked& looked,
                   std::stop_token stop) {
    for (const Extent& run : runs) {
      const uint64_t from = std::max(begin, run.offset);
      const uint64_t to = std::min(end, run.end());
      if (from >= to) {
        continue;
      }
      if (run.is_zero()) {
        add_zeros({from, to - from, ExtentKind::kZero}, looked, stop);
      } else {
        copy_data(from, to, looked, stop);
      }
    }
    write(looked);
    looked.buffer.reset();
    looked.used = 0;
  }

  /// Zeros leave their place in the buffer to what comes next, which the cache holds then.
  void copy_data(uint64_t at, uint64_t end, Looked& looked, std::stop_token stop) {
    std::vector<Extent> pieces;
    while (at < end) {
      if (stop.stop_requested()) {
        throw cancelled_error();
      }
      if (!looked.buffer) {
        looked.buffer = pool_.acquire(stop, check_writes_);
      }
      const uint64_t step = std::min(end, next_multiple(at, hot_)) - at;
      const auto bytes = looked.buffer->bytes().subspan(looked.used, step);
      source_.read_at(at, bytes);
      pieces.clear();
      split_zeros(at, bytes, traits_.zero_granularity, pieces);
      for (const Extent& piece : pieces) {
        if (piece.is_zero()) {
          add_zeros(piece, looked, stop);
          continue;
        }
        if (looked.hasher != nullptr) {
          looked.hasher->add(piece.offset, bytes.subspan(piece.offset - at, piece.length));
        }
        add_data(piece, looked.used + (piece.offset - at), looked);
      }
      if (pieces.size() > 1 || !pieces.front().is_zero()) {
        looked.used += step;
      }
      at += step;
    }
  }

  void add_zeros(const Extent& zeros, Looked& looked, const std::stop_token& stop) {
    if (looked.zeros.end() != zeros.offset) {
      zero(std::exchange(looked.zeros, {zeros.offset, 0}), stop);
    }
    looked.zeros.length += zeros.length;
  }

  void add_data(const Extent& data, size_t position, Looked& looked) {
    const bool follows =
        looked.data.end() == data.offset && looked.position + looked.data.length == position;
    if (!follows) {
      write(looked);
      looked.data.offset = data.offset;
      looked.position = position;
    }
    looked.data.length += data.length;
  }

  void write(Looked& looked) {
    const Extent data = std::exchange(looked.data, {});
    if (data.length == 0) {
      return;
    }
    sink_.write_at(data.offset, looked.buffer->slice(looked.position, data.length));
    progress_.bytes_written += data.length;
  }

  void zero(const Extent& extent, std::stop_token stop) {
    if (traits_.starts_zeroed) {
      return;
    }
    for (uint64_t at = extent.offset; at < extent.end(); at += kZeroStep) {
      if (stop.stop_requested()) {
        throw cancelled_error();
      }
      sink_.zero_range(at, std::min(kZeroStep, extent.end() - at));
    }
  }

  const Source& source_;
  Sink& sink_;
  const SinkTraits traits_;
  const unsigned jobs_;
  const uint64_t unit_;
  const uint64_t far_;  ///< what is read at once of a store that is far away
  const uint64_t gap_;  ///< zeros that are shorter are read
  const uint64_t window_;
  const uint64_t hot_;
  BufferPool pool_;
  const std::function<void()> check_writes_ = [this] { sink_.check_writes(); };
  DiskDigest* const digest_;
  const std::chrono::steady_clock::time_point digest_from_;
  Progress& progress_;
  BlockWalker walker_;
};

}  // namespace

CopyResult copy(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress) {
  const uint64_t done_before = progress.data_done;
  const uint64_t written_before = progress.bytes_written;
  const uint64_t shared_before = progress.bytes_shared;
  if (sink.traits().in_order) {
    copy_in_order(source, sink, options, progress);
  } else {
    Copier(source, sink, options, progress).run(options.stop);
  }
  if (options.stop.stop_requested()) {
    throw cancelled_error();
  }
  sink.flush();
  CopyResult result;
  result.virtual_bytes = source.size();
  result.read_bytes = progress.data_done - done_before;
  result.written_bytes = progress.bytes_written - written_before;
  result.shared_bytes = progress.bytes_shared - shared_before;
  result.zero_bytes = result.virtual_bytes - result.written_bytes;
  return result;
}

void measure(const Source& source, std::stop_token stop, Progress& progress) {
  const uint64_t size = source.size();
  for (uint64_t at = 0; at < size;) {
    if (stop.stop_requested()) {
      return;
    }
    const Extent extent = source.extent_at(at, size - at);
    if (!extent.is_zero()) {
      progress.data_total += extent.length;
    }
    at = extent.end();
  }
  progress.total_known = true;
}

uint64_t data_bytes(const Source& source, std::stop_token stop) {
  Progress sum;
  measure(source, std::move(stop), sum);
  if (!sum.total_known) {
    throw cancelled_error();
  }
  return sum.data_total;
}

}  // namespace vmferry
