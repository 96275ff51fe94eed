// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/copy_in_order.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>

#include "lib/core/block_hasher.h"
#include "lib/core/block_walker.h"
#include "lib/core/workers.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kZerosAtOnce = 64 << 20;  // a stream has to be given all of them: look at stop

/// Workers take a buffer, then a number and the next part of the disk, read it, wait until it is
/// their number's turn, and write. Whoever has a number has a buffer: the lowest number waits for
/// the source and the sink alone, so there is always one that goes on.
class InOrderCopier {
 public:
  InOrderCopier(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress)
      : source_(source),
        sink_(sink),
        options_(options),
        block_(whole_multiple(DiskDigest::kBlock, source.read_alignment())),
        pool_(std::max<size_t>(2, options.memory / block_), block_),
        progress_(progress),
        walker_({.size = source.size(),
                 .block = block_,
                 .ahead = std::max<size_t>(1, options.memory / block_),
                 .with_zeros = true,
                 .zeros_at = [this](uint64_t offset, uint64_t max) -> uint64_t {
                   const Extent extent = source_.extent_at(offset, max);
                   return extent.is_zero() ? extent.length : 0;
                 },
                 .announce = [this](uint64_t offset,
                                    uint64_t length) { source_.prefetch(offset, length); }}) {}

  void run() {
    run_workers(std::clamp(options_.jobs, 1u, 64u), options_.stop,
                [this](std::stop_token stop) { work(stop); });
  }

 private:
  /// A multiple of both, for blocks of a digest and of pages.
  static uint64_t whole_multiple(uint64_t block, uint64_t alignment) {
    const uint64_t steps = (alignment + block - 1) / block;
    return block * std::max<uint64_t>(1, steps);
  }

  struct Part {
    uint64_t number = 0;
    Extent extent;
  };

  void work(const std::stop_token& stop) {
    for (;;) {
      Buffer buffer = pool_.acquire(stop, check_writes_);
      const std::optional<Part> part = next_part(stop);
      if (!part) {
        return;
      }
      uint64_t data = 0;
      if (!part->extent.is_zero()) {
        data = read(part->extent, buffer, stop);
      }
      wait_for_turn(part->number, stop);
      write(part->extent, buffer, stop);
      progress_.data_done += data;
      end_turn();
    }
  }

  std::optional<Part> next_part(const std::stop_token& stop) {
    const std::lock_guard lock(mutex_);
    const std::optional<Extent> extent = walker_.next(stop);
    return extent ? std::optional(Part{next_number_++, *extent}) : std::nullopt;
  }

  /// Returns how much of it the source calls data.
  uint64_t read(const Extent& block, Buffer& buffer, const std::stop_token& stop) {
    const bool is_hashed = std::chrono::steady_clock::now() >= options_.digest_from;
    BlockHasher hasher(is_hashed ? options_.digest : nullptr, block.offset, block.end());
    uint64_t data = 0;
    for (uint64_t at = block.offset; at < block.end();) {
      if (stop.stop_requested()) {
        throw cancelled_error();
      }
      const Extent extent = source_.extent_at(at, block.end() - at);
      const auto bytes = buffer.bytes().subspan(at - block.offset, extent.length);
      if (extent.is_zero()) {
        std::memset(bytes.data(), 0, bytes.size());
      } else {
        source_.read_at(at, bytes);
        hasher.add(at, bytes);
        data += extent.length;
      }
      at = extent.end();
    }
    hasher.finish();
    return data;
  }

  void wait_for_turn(uint64_t number, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    turned_.wait(lock, stop, [this, number] { return turn_ == number; });
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
  }

  void write(const Extent& part, const Buffer& buffer, const std::stop_token& stop) {
    if (!part.is_zero()) {
      sink_.write_at(part.offset, buffer.slice(0, part.length));
      progress_.bytes_written += part.length;
      return;
    }
    for (uint64_t at = part.offset; at < part.end(); at += kZerosAtOnce) {
      if (stop.stop_requested()) {
        throw cancelled_error();
      }
      sink_.zero_range(at, std::min(kZerosAtOnce, part.end() - at));
    }
  }

  void end_turn() {
    {
      const std::lock_guard lock(mutex_);
      ++turn_;
    }
    turned_.notify_all();
  }

  const Source& source_;
  Sink& sink_;
  const CopyOptions& options_;
  const uint64_t block_;
  BufferPool pool_;
  const std::function<void()> check_writes_ = [this] { sink_.check_writes(); };
  Progress& progress_;
  std::mutex mutex_;  ///< of what follows
  BlockWalker walker_;
  uint64_t next_number_ = 0;
  uint64_t turn_ = 0;
  std::condition_variable_any turned_;
};

}  // namespace

void copy_in_order(const Source& source, Sink& sink, const CopyOptions& options,
                   Progress& progress) {
  InOrderCopier(source, sink, options, progress).run();
}

}  // namespace vmferry
