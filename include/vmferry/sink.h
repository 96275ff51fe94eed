// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vmferry/api.h"
#include "vmferry/buffer.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// What the copier should know about a target to write it well. Bytes.
struct SinkTraits {
  /// Writes are cut at multiples of this (half of a usual object of an RBD volume). A multiple of
  /// 4096.
  uint32_t write_size = 1 << 20;
  /// Zeros shorter than this are written rather than skipped. A power of two, 512 or more.
  uint32_t zero_granularity = 4096;
  /// Every byte reads as zero until it is written.
  bool starts_zeroed = false;
};

/// A disk that is being made. The calls come in this order: write_at and zero_range in any order on
/// disjoint ranges, then flush, then read_back (if wanted), then publish.
/// A sink destroyed before publish removes what it made and never throws; what existed under the
/// final name before is untouched then (a block device has no other name: it keeps what was
/// written).
class Sink {
 public:
  virtual ~Sink() = default;

  virtual const std::string& name() const = 0;
  virtual uint64_t size() const = 0;
  virtual SinkTraits traits() const = 0;

  /// Takes over `data` and writes it at `offset`, maybe later; throws an error of this write, or
  /// the first one of an earlier write. Many threads may call it.
  virtual void write_at(uint64_t offset, Slice data) = 0;
  /// Throws the first error of an earlier write, or that the store has been silent for too long.
  /// Who waits for the memory of earlier writes asks now and then. Many threads may call it.
  virtual void check_writes();
  /// Leaves zeros in the range, as a hole where the store has such. Many threads may call it.
  virtual void zero_range(uint64_t offset, uint64_t length) = 0;
  /// May share_range() do something for `source`? Asked before anything is looked at for it.
  virtual bool may_share(const Source& source) const;
  /// Shares the blocks in which `source` keeps the range, in place of a copy of them (a reflink).
  /// False, and nothing done: they cannot be shared, write them. Many threads may call it, on the
  /// terms of write_at.
  virtual bool share_range(const Source& source, uint64_t offset, uint64_t length);

  /// Waits for every write, makes all of them durable, throws the first error of any. One thread,
  /// after the last write.
  virtual void flush() = 0;
  /// What was written, read from the store again. After flush; the sink must outlive the answer.
  virtual std::unique_ptr<Source> read_back() = 0;
  /// Gives the target its final name. After a successful flush; once. Throws if the name was taken
  /// meanwhile.
  virtual void publish() = 0;
};

}  // namespace VMFERRY_API vmferry
