// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "vmferry/api.h"
#include "vmferry/digest.h"
#include "vmferry/progress.h"
#include "vmferry/sink.h"
#include "vmferry/source.h"
#include "vmferry/stream.h"

namespace VMFERRY_API vmferry {

struct CopyOptions {
  unsigned jobs = 8;                 ///< threads that read; 1..64
  size_t memory = size_t{32} << 20;  ///< bound on buffers (bytes); at least two are used
  std::stop_token stop = {};         ///< stops the work: Error kCancelled
  /// Told of what was read, if not null: of a block when all of it was handed to the sink.
  DiskDigest* digest = nullptr;
  /// It is not told of blocks that were begun before.
  std::chrono::steady_clock::time_point digest_from = {};
};

struct CopyResult {
  uint64_t virtual_bytes = 0;  ///< size of the source
  uint64_t read_bytes = 0;     ///< what the source calls data: everything else was never read
  uint64_t written_bytes = 0;  ///< handed to the sink as data
  uint64_t shared_bytes = 0;   ///< of these, shared with the source's blocks
  uint64_t zero_bytes = 0;     ///< the rest: holes, and zeros found in data
};

/// Copies what a guest sees of `source` into `sink` and flushes it; does not publish. Bytes beyond
/// the end of the source in a larger sink are left alone.
/// Throws the first error of either side; by then all of its threads have ended.
/// REQUIRES: sink.size() >= source.size().
CopyResult copy(const Source& source, Sink& sink, const CopyOptions& options, Progress& progress);

/// Copies all of a stream into `sink` and flushes it; does not publish. Where the stream does not
/// say its size, `sink` is told to grow, and its size at the end; otherwise it has to have room for
/// it. Zeros are looked for, and left out as by the other copy(). A stream without a byte is an
/// error. The stream is read by one thread at a time, while others write. options.digest is told
/// the size, and of all blocks that are not zero, whatever digest_from says.
CopyResult copy(ByteStream& source, Sink& sink, const CopyOptions& options, Progress& progress);

/// Sums up what `source` calls data into progress.data_total, then sets total_known. Reads no data.
/// Runs beside a copy for its progress display; returns early when stopped.
void measure(const Source& source, std::stop_token stop, Progress& progress);

/// All that `source` calls data, in bytes. Reads none of it. Throws Error, kCancelled when stopped.
uint64_t data_bytes(const Source& source, std::stop_token stop = {});

struct CompareOptions {
  unsigned jobs = 8;
  bool ignore_trailing_zeros = false;  ///< the longer disk may go on with zeros
  std::stop_token stop = {};
  DiskDigest* digest = nullptr;  ///< told of `a`; of use only if both are the same
};

struct CompareResult {
  bool same = false;
  /// The first byte that differs; with equal bytes but different sizes, the end of the shorter one.
  std::optional<uint64_t> first_difference;
};

/// Do both show a guest the same bytes? Reads only where one of them calls its bytes data.
/// Takes 64 MiB of buffers at most, however many threads; with windows above 16 MiB (objects of a
/// volume) room for two of them on each side.
/// Throws an Error if either cannot be read. progress counts the data of both sides.
CompareResult compare(const Source& a, const Source& b, const CompareOptions& options,
                      Progress& progress);

/// A sink that shares no blocks and lets at most `bytes_per_second` through to `sink`, which must
/// outlive it. Many threads may write; they wait in turn. Throws Error kCancelled when stopped
/// while waiting.
std::unique_ptr<Sink> limit_rate(Sink& sink, uint64_t bytes_per_second, std::stop_token stop);

/// Bytes a second, as they are now; 0: no limit. Called by any thread, often.
using RateNow = std::function<uint64_t()>;

/// The same with a rate that may change: a new one counts within a second, also for what waits.
std::unique_ptr<Sink> limit_rate(Sink& sink, RateNow rate, std::stop_token stop);

}  // namespace VMFERRY_API vmferry
