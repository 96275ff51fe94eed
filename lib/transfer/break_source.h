// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "vmferry/copy_breaks.h"
#include "vmferry/error.h"

namespace vmferry {

/// An image that is opened anew after each break of its copy. Any thread.
class BreakSource final : public Source {
 public:
  /// `breaks` must outlive it. Throws what `open` throws.
  BreakSource(CopyBreaks& breaks, CopyBreaks::Open open, std::stop_token stop) : breaks_(breaks) {
    breaks_.attach([this, open = std::move(open)] { return same_size(open()); }, std::move(stop));
    try {
      const CopyBreaks::Reading now(breaks_);
      name_ = now.source().name();
      alignment_ = now.source().read_alignment();
      preferred_ = now.source().preferred_read();
    } catch (...) {
      breaks_.detach();
      throw;
    }
  }
  ~BreakSource() override { breaks_.detach(); }
  BreakSource(const BreakSource&) = delete;
  BreakSource& operator=(const BreakSource&) = delete;

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return *size_; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return CopyBreaks::Reading(breaks_).source().extent_at(offset, max);
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    CopyBreaks::Reading(breaks_).source().read_at(offset, out);
  }
  void check_unchanged() const override { CopyBreaks::Reading(breaks_).source().check_unchanged(); }
  void check_still_there() const override {
    CopyBreaks::Reading(breaks_).source().check_still_there();
  }
  /// Of now: it is another after a break.
  std::string stamp() const override { return CopyBreaks::Reading(breaks_).source().stamp(); }
  uint64_t read_alignment() const override { return alignment_; }
  uint64_t preferred_read() const override { return preferred_; }

 private:
  /// One of another size is another disk.
  std::unique_ptr<Source> same_size(std::unique_ptr<Source> source) {
    if (size_.value_or(source->size()) != source->size()) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = source->name(),
                   .action = "go on with its copy",
                   .cause = "it was resized meanwhile"});
    }
    size_ = source->size();
    return source;
  }

  CopyBreaks& breaks_;
  std::string name_;
  std::optional<uint64_t> size_;  ///< nothing: it was not opened yet
  uint64_t alignment_ = 1;
  uint64_t preferred_ = 0;
};

}  // namespace vmferry
