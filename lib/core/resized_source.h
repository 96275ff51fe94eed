// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "vmferry/source.h"

namespace vmferry {

/// A disk cut off, or with zeros behind its end. Any thread.
class ResizedSource final : public ForwardingSource {
 public:
  /// `size` in bytes.
  ResizedSource(std::unique_ptr<Source> disk, uint64_t size)
      : ForwardingSource(*disk), disk_(std::move(disk)), size_(size) {}

  uint64_t size() const override { return size_; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return offset < disk_->size() ? disk_->extent_at(offset, std::min(max, disk_->size() - offset))
                                  : Extent{offset, max, ExtentKind::kZero};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const uint64_t there = offset < disk_->size() ? disk_->size() - offset : 0;
    const size_t bytes = std::min<uint64_t>(out.size(), there);
    if (bytes > 0) {
      disk_->read_at(offset, out.first(bytes));
    }
    if (bytes < out.size()) {
      std::memset(out.data() + bytes, 0, out.size() - bytes);
    }
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    if (offset < disk_->size()) {
      disk_->prefetch(offset, std::min(length, disk_->size() - offset));
    }
  }

 private:
  const std::unique_ptr<Source> disk_;
  const uint64_t size_;
};

}  // namespace vmferry
