// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstdint>

#include "lib/core/rounding.h"
#include "vmferry/history.h"
#include "vmferry/sink.h"
#include "vmferry/source.h"

namespace vmferry {

/// Changes in whole blocks: what is the same is so in whole blocks, but for the last one. Any
/// thread. `changes` must outlive it.
class BlockChanges final : public Changes {
 public:
  /// `size` of the later state; `block`: bytes.
  BlockChanges(const Changes& changes, uint64_t size, uint64_t block)
      : changes_(changes), size_(size), block_(block) {}

  Run run_at(uint64_t offset, uint64_t max) const override {
    const uint64_t limit = offset + max;
    Run run = block_at(offset);
    while (run.length < max) {
      const Run next = block_at(offset + run.length);
      if (next.may_differ != run.may_differ) {
        break;
      }
      run.length += next.length;
    }
    run.length = std::min(offset + run.length, limit) - offset;
    return run;
  }

 private:
  /// From `offset` to the end of a block, or of several that are alike.
  Run block_at(uint64_t offset) const {
    const uint64_t begin = offset / block_ * block_;
    const uint64_t end = std::min(begin + block_, size_);
    uint64_t at = begin;
    // As far as the same goes, which may be long.
    while (at < size_) {
      const Run run = changes_.run_at(at, size_ - at);
      if (run.may_differ) {
        break;
      }
      at += run.length;
    }
    const uint64_t same = at == size_ ? at : at / block_ * block_;
    return same > offset ? Run{same - offset, false} : Run{end - offset, true};
  }

  const Changes& changes_;
  const uint64_t size_;
  const uint64_t block_;
};

/// What may differ here, or there, and all behind `size` bytes: one of the two may be longer. Any
/// thread. What it is given must outlive it.
class EitherChanges final : public Changes {
 public:
  EitherChanges(const Changes& a, const Changes& b, uint64_t size) : a_(a), b_(b), size_(size) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset >= size_) {
      return {max, true};
    }
    const Run a = a_.run_at(offset, std::min(max, size_ - offset));
    return a.may_differ ? a : b_.run_at(offset, a.length);
  }

 private:
  const Changes& a_;
  const Changes& b_;
  const uint64_t size_;
};

/// What may differ by `all`, and not by `known`. Any thread. What it is given must outlive it.
class OtherChanges final : public Changes {
 public:
  OtherChanges(const Changes& all, const Changes& known) : all_(all), known_(known) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    const Run run = all_.run_at(offset, max);
    const Run known = known_.run_at(offset, run.length);
    return {known.length, run.may_differ && !known.may_differ};
  }

 private:
  const Changes& all_;
  const Changes& known_;
};

/// Changes to a disk that has become shorter: its last block differs, too. There a target may keep
/// what was behind the new end (an image has whole sectors), which must not show. Any thread.
/// `changes` must outlive it.
class CutChanges final : public Changes {
 public:
  /// The sizes of both states.
  CutChanges(const Changes& changes, uint64_t before, uint64_t after)
      : changes_(changes), last_(before > after && after > 0 ? after - 1 : after) {}

  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset >= last_) {
      return {max, true};
    }
    return changes_.run_at(offset, std::min(max, last_ - offset));
  }

 private:
  const Changes& changes_;
  const uint64_t last_;  ///< from here on all differs
};

/// What of a state is to be copied onto a target that holds the state before: what is the same
/// looks like a hole. Any thread. What it is given must outlive it.
class DeltaSource final : public ForwardingSource {
 public:
  DeltaSource(const Source& source, const Changes& changes)
      : ForwardingSource(source), changes_(changes) {}

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    const Changes::Run run = changes_.run_at(offset, max);
    return run.may_differ ? ForwardingSource::extent_at(offset, run.length)
                          : Extent{offset, run.length, ExtentKind::kZero};
  }

 private:
  const Changes& changes_;
};

/// The other side of it: leaves alone what is the same, and writes zeros over the rest.
class DeltaSink final : public ForwardingSink {
 public:
  DeltaSink(Sink& sink, const Changes& changes) : ForwardingSink(sink), changes_(changes) {}

  SinkTraits traits() const override {
    SinkTraits traits = ForwardingSink::traits();
    traits.starts_zeroed = false;
    return traits;
  }
  void zero_range(uint64_t offset, uint64_t length) override {
    while (length > 0) {
      const Changes::Run run = changes_.run_at(offset, length);
      if (run.may_differ) {
        ForwardingSink::zero_range(offset, run.length);
      }
      offset += run.length;
      length -= run.length;
    }
  }
  bool may_share(const Source& /*source*/) const override { return false; }

 private:
  const Changes& changes_;
};

}  // namespace vmferry
