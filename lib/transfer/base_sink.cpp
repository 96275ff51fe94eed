// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/base_sink.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "lib/core/rounding.h"
#include "lib/core/zeros.h"
#include "lib/transfer/delta.h"

namespace vmferry {
namespace {

/// Of the base, at a time: few questions to the cluster, and not much for a thread to hold.
constexpr uint64_t kReadAtOnce = 1 << 20;
constexpr uint64_t kLookAtOnce = 16 << 20;  // into the tables of an image

/// Calls `visit` for what `source` calls data in the range, run by run; ends when that answers
/// false.
template <typename Visit>
void visit_data(const Source& source, uint64_t offset, uint64_t length, const Visit& visit) {
  while (length > 0) {
    const Extent extent = source.extent_at(offset, length);
    if (!extent.is_zero() && !visit(extent)) {
      return;
    }
    offset += extent.length;
    length -= extent.length;
  }
}

}  // namespace

Changes::Run DepthChanges::run_at(uint64_t offset, uint64_t max) const {
  const uint64_t end = std::min(round_up(offset + max, block_), size_);
  std::optional<bool> differs;  // the run
  uint64_t at = offset / block_ * block_;
  while (at < end) {
    const uint64_t next = std::min(at + std::max(block_, kLookAtOnce / block_ * block_), end);
    std::vector<bool> blocks((next - at + block_ - 1) / block_, false);
    layout_.map(at, next - at, [&](const MappedExtent& extent) {
      if (extent.depth < depth_) {
        const auto first = static_cast<std::ptrdiff_t>((extent.offset - at) / block_);
        const auto last = static_cast<std::ptrdiff_t>((extent.end() - 1 - at) / block_);
        std::fill(blocks.begin() + first, blocks.begin() + last + 1, true);
      }
    });
    const bool same_as_before = differs.value_or(blocks.front());
    differs = same_as_before;
    const auto change = std::find(blocks.begin(), blocks.end(), !same_as_before);
    if (change != blocks.end()) {
      at += static_cast<uint64_t>(change - blocks.begin()) * block_;
      break;
    }
    at = next;
  }
  return {std::min(at - offset, max), *differs};
}

BaseSink::BaseSink(Sink& sink, const TargetBase& base, const Changes* changes)
    : ForwardingSink(sink),
      base_(*base.disk),
      block_(base.block),
      changes_(changes),
      granularity_(sink.traits().zero_granularity) {}

SinkTraits BaseSink::traits() const {
  SinkTraits traits = ForwardingSink::traits();
  traits.starts_zeroed = false;
  traits.write_unit = traits.write_size = traits.zero_granularity = static_cast<uint32_t>(block_);
  return traits;
}

void BaseSink::write_at(uint64_t offset, Slice data) {
  for (size_t at = 0; at < data.size();) {
    const uint64_t begin = offset + at;
    const size_t length = std::min<uint64_t>(block_ - begin % block_, data.size() - at);
    const Slice block = data.part(at, length);
    if (is_in_base(begin, block.bytes())) {
      note_shared(begin, length);
    } else {
      write_block(begin, block);
    }
    at += length;
  }
}

bool BaseSink::is_in_base(uint64_t offset, std::span<const std::byte> bytes) const {
  std::vector<std::byte> held;
  while (!bytes.empty()) {
    const Extent extent = base_.extent_at(offset, std::min<uint64_t>(bytes.size(), kReadAtOnce));
    const auto piece = bytes.first(extent.length);
    if (extent.is_zero()) {
      if (!is_zero(piece)) {
        return false;
      }
    } else {
      held.resize(piece.size());
      base_.read_at(offset, held);
      if (std::memcmp(held.data(), piece.data(), piece.size()) != 0) {
        return false;
      }
    }
    offset += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

bool BaseSink::base_has_data(uint64_t offset, uint64_t length) const {
  bool found = false;
  visit_data(base_, offset, length, [&found](const Extent& /*data*/) {
    found = true;
    return false;
  });
  return found;
}

/// Long zeros take no space: the block is made empty first, which hides the base.
void BaseSink::write_block(uint64_t offset, const Slice& block) {
  std::vector<Extent> runs;
  split_zeros(offset, block.bytes(), granularity_, runs);
  const bool has_zeros =
      std::any_of(runs.begin(), runs.end(), [](const Extent& run) { return run.is_zero(); });
  if (has_zeros && base_has_data(offset, block.size())) {
    ForwardingSink::zero_range(offset, block.size());
  }
  for (const Extent& run : runs) {
    if (!run.is_zero()) {
      ForwardingSink::write_at(run.offset, block.part(run.offset - offset, run.length));
      written_ += run.length;
    }
  }
}

void BaseSink::zero_range(uint64_t offset, uint64_t length) {
  while (length > 0) {
    const Changes::Run run =
        changes_ == nullptr ? Changes::Run{length, true} : changes_->run_at(offset, length);
    if (run.may_differ) {
      zero_data_of_base(offset, run.length);
    } else {
      note_shared(offset, run.length);
    }
    offset += run.length;
    length -= run.length;
  }
}

void BaseSink::zero_data_of_base(uint64_t offset, uint64_t length) {
  const uint64_t end = offset + length;
  while (offset < end) {
    const Extent extent = base_.extent_at(offset, end - offset);
    if (extent.is_zero()) {
      offset = extent.end();
      continue;
    }
    const uint64_t next = std::min(round_up(extent.end(), block_), end);
    ForwardingSink::zero_range(offset / block_ * block_, next - offset / block_ * block_);
    offset = next;
  }
}

void BaseSink::note_shared(uint64_t offset, uint64_t length) {
  uint64_t bytes = 0;
  visit_data(base_, offset, length, [&bytes](const Extent& data) {
    bytes += data.length;
    return true;
  });
  shared_ += bytes;
}

CopyOverBase copy_over_base(const Source& source, Sink& sink, const TargetBase& base,
                            unsigned base_depth, const CopyOptions& options, Progress& progress) {
  const auto* layout = dynamic_cast<const Layout*>(&source);
  std::optional<DepthChanges> changes;
  if (base_depth > 0 && layout != nullptr && options.digest == nullptr) {
    changes.emplace(*layout, source.size(), base_depth, base.block);
  }
  std::optional<DeltaSource> delta;
  if (changes) {
    delta.emplace(source, *changes);
  }
  BaseSink over(sink, base, changes ? &*changes : nullptr);
  CopyOverBase copied;
  copied.result =
      copy(delta ? static_cast<const Source&>(*delta) : source, over, options, progress);
  copied.base_bytes = over.base_bytes();
  copied.result.written_bytes = over.written_bytes();
  copied.result.zero_bytes =
      source.size() - std::min(source.size(), over.written_bytes() + over.base_bytes());
  return copied;
}

}  // namespace vmferry
