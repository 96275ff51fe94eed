// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "vmferry/copy.h"
#include "vmferry/history.h"
#include "vmferry/map.h"
#include "vmferry/target.h"

namespace vmferry {

/// Where a disk shows more than what an image of its chain and those below that show: in whole
/// blocks, but for the last one. Any thread.
class DepthChanges final : public Changes {
 public:
  /// `depth` of that image (MappedExtent), at least 1; `size` of the disk. `layout` must outlive
  /// it.
  DepthChanges(const Layout& layout, uint64_t size, unsigned depth, uint32_t block)
      : layout_(layout), size_(size), depth_(depth), block_(block) {}
  Run run_at(uint64_t offset, uint64_t max) const override;

 private:
  const Layout& layout_;
  const uint64_t size_;
  const unsigned depth_;
  const uint64_t block_;
};

/// Hands on only what is not in the target's base, in whole blocks: a block that differs anywhere
/// is written as a whole, so that nobody has to copy it up from the base. Zeros over data of the
/// base are written. Thread rule of a Sink.
class BaseSink final : public ForwardingSink {
 public:
  /// `changes` in whole blocks: what is the same there is not looked at; null: all may differ.
  /// What it is given must outlive it.
  BaseSink(Sink& sink, const TargetBase& base, const Changes* changes);

  SinkTraits traits() const override;
  void write_at(uint64_t offset, Slice data) override;
  void zero_range(uint64_t offset, uint64_t length) override;
  bool may_share(const Source& /*source*/) const override { return false; }

  uint64_t written_bytes() const { return written_; }
  /// Of data that the base has and the disk, too.
  uint64_t base_bytes() const { return shared_; }

 private:
  bool is_in_base(uint64_t offset, std::span<const std::byte> bytes) const;
  bool base_has_data(uint64_t offset, uint64_t length) const;
  void write_block(uint64_t offset, const Slice& block);
  void zero_data_of_base(uint64_t offset, uint64_t length);
  void note_shared(uint64_t offset, uint64_t length);

  const Source& base_;
  const uint64_t block_;
  const Changes* const changes_;
  const uint32_t granularity_;
  std::atomic<uint64_t> written_ = 0;
  std::atomic<uint64_t> shared_ = 0;
};

struct CopyOverBase {
  CopyResult result;
  uint64_t base_bytes = 0;
};

/// copy() onto a target with a base: see TransferOptions::base_depth. A digest is told of the whole
/// disk.
CopyOverBase copy_over_base(const Source& source, Sink& sink, const TargetBase& base,
                            unsigned base_depth, const CopyOptions& options, Progress& progress);

}  // namespace vmferry
