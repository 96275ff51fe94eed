// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "lib/core/block_hasher.h"
#include "lib/core/workers.h"
#include "lib/core/zeros.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr size_t kStreamBlock = DiskDigest::kBlock;

/// One copy of a stream. The workers take turns with it: while one reads what comes next, or has it
/// unpacked, the others look for zeros and write. Who reads has a buffer already, so the stream
/// never waits for one that the same worker would have to give back.
class StreamCopier {
 public:
  StreamCopier(ByteStream& source, Sink& sink, const CopyOptions& options, Progress& progress)
      : source_(source),
        sink_(sink),
        traits_(sink.traits()),
        jobs_(traits_.in_order ? 1 : std::clamp(options.jobs, 1u, 64u)),
        pool_(std::max<size_t>(2, options.memory / kStreamBlock), kStreamBlock),
        digest_(options.digest),
        progress_(progress) {}

  /// Returns how many bytes the stream had.
  uint64_t run(std::stop_token stop) {
    run_workers(jobs_, stop, [this](std::stop_token any_stop) { work(any_stop); });
    return at_;
  }

 private:
  void work(const std::stop_token& stop) {
    for (;;) {
      Buffer buffer = pool_.acquire(stop, check_writes_);
      const Extent block = read_next(buffer, stop);
      if (block.length == 0) {
        return;
      }
      write(block, buffer);
      progress_.data_done += block.length;
    }
  }

  /// Empty at the end.
  Extent read_next(Buffer& buffer, const std::stop_token& stop) {
    const std::lock_guard turn(mutex_);
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    if (ended_) {
      return {};
    }
    ended_ = true;  // should this throw, the next one must not go on with what is left
    const size_t length = source_.read(buffer.bytes(), stop);
    ended_ = length < kStreamBlock;
    const Extent block = {at_, length, ExtentKind::kData};
    at_ = block.end();
    if (length > 0 && !source_.size()) {
      sink_.grow(at_);
    }
    return block;
  }

  void write(const Extent& block, Buffer& buffer) {
    const auto bytes = buffer.bytes().first(block.length);
    std::vector<Extent> pieces;
    split_zeros(block.offset, bytes, traits_.zero_granularity, pieces);
    for (const Extent& piece : pieces) {
      if (!piece.is_zero()) {
        write_data(piece, block.offset, buffer);
      } else if (!traits_.starts_zeroed) {
        sink_.zero_range(piece.offset, piece.length);
      }
    }
    // A digest takes what it is not told of as zero.
    if (pieces.size() > 1 || !pieces.front().is_zero()) {
      BlockHasher hasher(digest_, block.offset, block.end());
      hasher.add(block.offset, bytes);
      hasher.finish();
    }
  }

  void write_data(const Extent& piece, uint64_t begin, const Buffer& buffer) {
    for (uint64_t at = piece.offset; at < piece.end();) {
      const uint64_t next = (at / traits_.write_size + 1) * traits_.write_size;
      const uint64_t length = std::min(piece.end(), next) - at;
      sink_.write_at(at, buffer.slice(at - begin, length));
      progress_.bytes_written += length;
      at += length;
    }
  }

  ByteStream& source_;
  Sink& sink_;
  const SinkTraits traits_;
  const unsigned jobs_;
  BufferPool pool_;
  const std::function<void()> check_writes_ = [this] { sink_.check_writes(); };
  DiskDigest* const digest_;
  Progress& progress_;
  std::mutex mutex_;  ///< of what follows, and of the stream
  uint64_t at_ = 0;
  bool ended_ = false;
};

/// A command that fails at once leaves an empty pipe: nobody means a disk of no bytes.
Error empty_stream(const std::string& name) {
  return Error({.kind = ErrorKind::kIo,
                .object = name,
                .action = "read",
                .cause = "there is not one byte in it",
                .hint = "look whether what writes it has failed"});
}

}  // namespace

CopyResult copy(ByteStream& source, Sink& sink, const CopyOptions& options, Progress& progress) {
  const uint64_t written_before = progress.bytes_written;
  if (const auto size = source.size()) {
    progress.data_total = *size;
    progress.total_known = true;
  }
  const uint64_t size = StreamCopier(source, sink, options, progress).run(options.stop);
  if (options.stop.stop_requested()) {
    throw cancelled_error();
  }
  if (size == 0) {
    throw empty_stream(source.name());
  }
  if (!source.size()) {
    sink.set_size(size);
  }
  if (options.digest != nullptr) {
    options.digest->set_size(size);
  }
  sink.flush();
  CopyResult result;
  result.virtual_bytes = size;
  result.read_bytes = size;
  result.written_bytes = progress.bytes_written - written_before;
  result.zero_bytes = size - result.written_bytes;
  return result;
}

}  // namespace vmferry
