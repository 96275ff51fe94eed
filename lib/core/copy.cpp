// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/copy.h"

#include <algorithm>

#include "lib/core/block_walker.h"
#include "lib/core/workers.h"
#include "lib/core/zeros.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = 4 << 20;        // what one worker takes at a time, at least
constexpr uint64_t kAheadBytes = 64 << 20;  // how far ahead reads are announced
constexpr uint64_t kZeroStep = 1 << 30;     // zeroing may be slow on a device: look at stop often

uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// One run of copy(). A block is cut into windows: what is read into one buffer.
class Copier {
 public:
  Copier(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress)
      : source_(source),
        sink_(sink),
        traits_(sink.traits()),
        jobs_(std::clamp(options.jobs, 1u, 64u)),
        window_(round_up(std::max<uint64_t>(traits_.write_size, source.read_alignment()), 4096)),
        pool_(std::max<size_t>(2, options.memory / window_), window_),
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
          return extent.is_zero() ? extent.length : 0;
        },
        .announce = [this](uint64_t offset, uint64_t length) { source_.prefetch(offset, length); }};
  }

  void work(std::stop_token stop) {
    std::vector<Extent> runs;
    while (const auto next = walker_.next()) {
      if (stop.stop_requested()) throw cancelled_error();
      if (next->is_zero()) {
        zero(*next, stop);
      } else {
        copy_block(*next, runs, stop);
      }
    }
  }

  void copy_block(const Extent& block, std::vector<Extent>& runs, std::stop_token stop) {
    const uint64_t data = find_runs(block, runs);
    share_runs(runs);
    for (uint64_t at = block.offset; at < block.end();) {
      const uint64_t end = std::min(block.end(), (at / window_ + 1) * window_);
      copy_window(at, end, runs, stop);
      at = end;
    }
    progress_.data_done += data;
  }

  /// What lies in the block, zeros too short for the sink counted as data. Returns how much of
  /// it the source calls data.
  uint64_t find_runs(const Extent& block, std::vector<Extent>& runs) {
    std::vector<Extent> found;
    uint64_t data = 0;
    for (uint64_t at = block.offset; at < block.end();) {
      const Extent extent = source_.extent_at(at, block.end() - at);
      if (extent.is_zero()) {
        found.push_back(extent);
      } else {
        data += extent.length;
        source_.find_content(extent.offset, extent.length, traits_.zero_granularity, found);
      }
      at = extent.end();
    }
    runs.clear();
    for (Extent extent : found) append_run(runs, extent);
    found.swap(runs);
    runs.clear();
    for (Extent extent : found) {
      const bool at_an_end = extent.offset == block.offset || extent.end() == block.end();
      if (extent.is_zero() && extent.length < traits_.zero_granularity && !at_an_end) {
        extent.kind = ExtentKind::kData;
      }
      append_run(runs, extent);
    }
    return data;
  }

  /// What can be shared needs no reading, and is done.
  void share_runs(std::vector<Extent>& runs) {
    std::erase_if(runs, [this](const Extent& run) {
      if (run.is_zero() || !sink_.share_range(source_, run.offset, run.length)) return false;
      progress_.bytes_written += run.length;
      progress_.bytes_shared += run.length;
      return true;
    });
  }

  /// The part of `runs` that lies in [begin, end), which fits one buffer.
  void copy_window(uint64_t begin, uint64_t end, const std::vector<Extent>& runs,
                   std::stop_token stop) {
    std::optional<Buffer> buffer;
    for (const Extent& run : runs) {
      const uint64_t from = std::max(begin, run.offset);
      const uint64_t to = std::min(end, run.end());
      if (from >= to) continue;
      if (run.is_zero()) {
        zero({from, to - from, ExtentKind::kZero}, stop);
        continue;
      }
      if (!buffer) buffer = pool_.acquire(stop);
      copy_run({from, to - from, ExtentKind::kData}, from - begin, *buffer, stop);
    }
  }

  /// Reads the run to `position` of the buffer and writes what of it is not zero.
  void copy_run(const Extent& run, uint64_t position, Buffer& buffer, std::stop_token stop) {
    const auto bytes = buffer.bytes().subspan(position, run.length);
    source_.read_at(run.offset, bytes);
    std::vector<Extent> pieces;
    split_zeros(run.offset, bytes, traits_.zero_granularity, pieces);
    for (const Extent& piece : pieces) {
      if (stop.stop_requested()) throw cancelled_error();
      if (piece.is_zero()) {
        zero(piece, stop);
      } else {
        sink_.write_at(piece.offset,
                       buffer.slice(position + (piece.offset - run.offset), piece.length));
        progress_.bytes_written += piece.length;
      }
    }
  }

  void zero(const Extent& extent, std::stop_token stop) {
    if (traits_.starts_zeroed) return;
    for (uint64_t at = extent.offset; at < extent.end(); at += kZeroStep) {
      if (stop.stop_requested()) throw cancelled_error();
      sink_.zero_range(at, std::min(kZeroStep, extent.end() - at));
    }
  }

  const Source& source_;
  Sink& sink_;
  const SinkTraits traits_;
  const unsigned jobs_;
  const uint64_t window_;
  BufferPool pool_;
  Progress& progress_;
  BlockWalker walker_;
};

}  // namespace

CopyResult copy(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress) {
  const uint64_t done_before = progress.data_done;
  const uint64_t written_before = progress.bytes_written;
  const uint64_t shared_before = progress.bytes_shared;
  Copier(source, sink, options, progress).run(options.stop);
  if (options.stop.stop_requested()) throw cancelled_error();
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
    if (stop.stop_requested()) return;
    const Extent extent = source.extent_at(at, size - at);
    if (!extent.is_zero()) progress.data_total += extent.length;
    at = extent.end();
  }
  progress.total_known = true;
}

}  // namespace vmferry
