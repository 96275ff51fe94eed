// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "vmferry/source.h"

namespace vmferry {

/// A part of another source, which is a disk or an image by itself. Any thread.
class WindowSource final : public Source {
 public:
  /// [offset, offset + length) of `whole`. REQUIRES: it lies in it.
  WindowSource(std::shared_ptr<const Source> whole, uint64_t offset, uint64_t length,
               std::string name)
      : whole_(std::move(whole)), offset_(offset), length_(length), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return length_; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    Extent extent = whole_->extent_at(offset_ + offset, max);
    extent.offset = offset;
    return extent;
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    whole_->read_at(offset_ + offset, out);
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    whole_->prefetch(offset_ + offset, length);
  }
  void check_unchanged() const override { whole_->check_unchanged(); }
  void check_still_there() const override { whole_->check_still_there(); }
  std::string stamp() const override {
    const std::string all = whole_->stamp();
    return all.empty() ? all : all + ", part at " + std::to_string(offset_);
  }
  std::chrono::milliseconds silent_for() const override { return whole_->silent_for(); }
  uint64_t preferred_read() const override { return whole_->preferred_read(); }

  const Source& whole() const { return *whole_; }
  uint64_t offset() const { return offset_; }

 private:
  const std::shared_ptr<const Source> whole_;
  const uint64_t offset_;
  const uint64_t length_;
  const std::string name_;
};

}  // namespace vmferry
