// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "vmferry/api.h"
#include "vmferry/copy.h"
#include "vmferry/network.h"
#include "vmferry/observer.h"
#include "vmferry/source.h"
#include "vmferry/stream.h"
#include "vmferry/target.h"

namespace VMFERRY_API vmferry {

class CopyBreaks;

/// What is done between the copy and the name.
enum class Verify {
  kNo,
  kYes,      ///< the target's store proves what it holds, or what cannot prove it is read back
  kReading,  ///< the target is read back and compared with the source
};

struct TransferOptions {
  std::string phase = "copy";               ///< what an observer is told that the copy is
  unsigned jobs = 8;                        ///< threads that read; 1..64
  size_t memory = size_t{32} << 20;         ///< bound on buffers (bytes)
  std::optional<uint64_t> rate_limit = {};  ///< bytes a second that are written
  RateNow rate_now = {};                    ///< if not empty: the same, as it is now
  bool source_in_use = false;               ///< it may change meanwhile: that is meant
  Verify verify = Verify::kNo;
  DiskDigest* digest = nullptr;  ///< told of what was read; of the source's size
  /// The target's base (Target::base()) holds what the image at this depth of the source's chain
  /// shows (MappedExtent::depth): what the source has from there on is not read, unless `digest`
  /// wants it. 0: what the base holds already is found by reading both.
  unsigned base_depth = 0;
  /// What is done is written down now and then: should the process die, a later run can go on.
  bool make_checkpoints = false;
  /// The same, and what was copied stays if the store or the machine fails, or the work is stopped,
  /// after the first checkpoint; the error's hint says how to go on. Otherwise the target takes it
  /// away.
  bool keep_partial = false;
  std::chrono::milliseconds checkpoint_every{10'000};
  /// Not null: the source is changed in breaks of the copy (BreakSource reads it). What was changed
  /// is copied again before the target gets its name; `digest` is of what was read first.
  CopyBreaks* breaks = nullptr;
  std::stop_token stop = {};  ///< stops the work: Error kCancelled
};

struct TransferResult : CopyResult {
  /// How what was written was verified: kNo, kReading, or kYes: by the store's own checksums.
  Verify verified = Verify::kNo;
  uint64_t kept_bytes = 0;  ///< of data that an earlier run had copied
  uint64_t base_bytes = 0;  ///< of data that the target's base has
};

/// Copies what a guest sees of `source` to `target`: copy, flush, verify if wanted, publish. Only
/// what is complete and durable gets the name, and only if the source is still what was opened.
/// Throws the first Error (kUsage: the target has another size than the source); the target has no
/// name then, and takes away what it made when it goes.
/// What an earlier run wrote down of a target that was adopted (TargetOptions::resume) is believed
/// only as far as it is about the same source, and the target holds it.
TransferResult transfer(const Source& source, Target& target, const TransferOptions& options = {},
                        Observer* observer = nullptr);

/// The same for what can be read once, in order. There are no checkpoints of it. It is verified by
/// the digest that was taken while it was read, so that a difference is told to the block of 4 MiB.
/// Whether it is in use nobody asks; a stream that ends too early is noticed where it says its
/// size, or in what form it comes.
TransferResult transfer(ByteStream& source, Target& target, const TransferOptions& options = {},
                        Observer* observer = nullptr);

/// Has a run that did not complete `target` left a checkpoint of a copy of this very source? Asks
/// the store, and changes nothing. Throws Error.
bool can_resume(const Source& source, const Location& target, const NetworkOptions& network);

/// What is asked before relying on what was read: throws Error when the source is not what was
/// opened. One in use may have been written.
void check_source(const Source& source, bool in_use);

}  // namespace VMFERRY_API vmferry
