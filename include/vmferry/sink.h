// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/buffer.h"
#include "vmferry/digest.h"
#include "vmferry/progress.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// What the copier should know about a target to write it well. Bytes.
struct SinkTraits {
  /// Writes are cut at multiples of this (half of a usual object of an RBD volume). A multiple of
  /// 4096.
  uint32_t write_size = 1 << 20;
  /// Zeros shorter than this are written rather than skipped. A power of two, 512 or more.
  uint32_t zero_granularity = 4096;
  /// What is written begins and ends at multiples of this, or with the disk: zeros that do not fill
  /// one are written with the data beside them. A power of two, of which write_size and
  /// zero_granularity are multiples.
  uint32_t write_unit = 1;
  /// Every byte is known to read as zero until it is written: zeros need not be.
  bool starts_zeroed = false;
  /// find_different() works, as far as is known.
  bool has_checksums = false;
  /// A stream: write_at and zero_range come one after the other, in the order of the disk, and
  /// leave out nothing.
  bool in_order = false;
};

/// The bytes of a disk that is being made. The calls come in this order: write_at, zero_range and
/// share_range in any order on disjoint ranges (see SinkTraits::in_order), then set_size where the
/// size was not known before, then flush, then read_back (if wanted). What becomes of the disk is
/// its Target's.
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
  /// How long the store has been silent, though it is at work on something. Any thread.
  virtual std::chrono::milliseconds silent_for() const { return {}; }
  /// Leaves zeros in the range, as a hole where the store has such. Many threads may call it.
  virtual void zero_range(uint64_t offset, uint64_t length) = 0;
  /// May share_range() do something for `source`? Asked before anything is looked at for it.
  virtual bool may_share(const Source& source) const;
  /// Shares the blocks in which `source` keeps the range, in place of a copy of them (a reflink).
  /// False, and nothing done: they cannot be shared, write them. Many threads may call it, on the
  /// terms of write_at.
  virtual bool share_range(const Source& source, uint64_t offset, uint64_t length);

  /// For a disk whose size is not known before (TargetOptions::grows): makes room for bytes up to
  /// `size`, maybe for more; throws where there cannot be that many. What is added reads as zero if
  /// the disk starts zeroed. One thread at a time; others may be writing what had room before.
  virtual void grow(uint64_t size);
  /// For such a disk: it has `size` bytes, and no more. One thread, after the last write.
  virtual void set_size(uint64_t size);

  /// Makes durable what was handed over by calls that have returned, and throws the first error of
  /// it. Other threads may go on writing meanwhile.
  virtual void barrier() { flush(); }
  /// Waits for every write, makes all of them durable, throws the first error of any. One thread,
  /// after the last write.
  virtual void flush() = 0;
  /// Does part of find_different() beforehand, while other threads write elsewhere: `blocks` that
  /// are as said are not asked for again. A barrier has made them durable. May do nothing. Ends
  /// soon after `stop`. One thread. Throws Error.
  virtual void check_early(std::span<const DiskDigest::Known> blocks, std::stop_token stop);
  /// What was written, read from the store again; null: it cannot be. After flush; the sink must
  /// outlive the answer.
  virtual std::unique_ptr<Source> read_back() = 0;
  /// The blocks of a digest (DiskDigest::kBlock) that do not hold what `digest` says, in order; a
  /// block that it was not told of should be zero. The store computes that: no data travels.
  /// Nothing: it cannot, read_back() does. `counters` count bytes. After flush; one thread. Throws
  /// Error, also kCancelled.
  virtual std::optional<std::vector<uint64_t>> find_different(const DiskDigest& digest,
                                                              Progress& counters,
                                                              std::stop_token stop);
};

/// Passes every call on to another sink, which must outlive it: for one that changes a few of them.
class ForwardingSink : public Sink {
 public:
  explicit ForwardingSink(Sink& inner) : inner_(inner) {}

  const std::string& name() const override { return inner_.name(); }
  uint64_t size() const override { return inner_.size(); }
  SinkTraits traits() const override { return inner_.traits(); }
  void write_at(uint64_t offset, Slice data) override { inner_.write_at(offset, std::move(data)); }
  void check_writes() override { inner_.check_writes(); }
  std::chrono::milliseconds silent_for() const override { return inner_.silent_for(); }
  void zero_range(uint64_t offset, uint64_t length) override { inner_.zero_range(offset, length); }
  bool may_share(const Source& source) const override { return inner_.may_share(source); }
  bool share_range(const Source& source, uint64_t offset, uint64_t length) override {
    return inner_.share_range(source, offset, length);
  }
  void grow(uint64_t size) override { inner_.grow(size); }
  void set_size(uint64_t size) override { inner_.set_size(size); }
  void barrier() override { inner_.barrier(); }
  void flush() override { inner_.flush(); }
  void check_early(std::span<const DiskDigest::Known> blocks, std::stop_token stop) override {
    inner_.check_early(blocks, std::move(stop));
  }
  std::unique_ptr<Source> read_back() override { return inner_.read_back(); }
  std::optional<std::vector<uint64_t>> find_different(const DiskDigest& digest, Progress& counters,
                                                      std::stop_token stop) override {
    return inner_.find_different(digest, counters, std::move(stop));
  }

 private:
  Sink& inner_;
};

}  // namespace VMFERRY_API vmferry
