// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/whole_sectors.h"

#include <algorithm>
#include <cstring>

namespace vmferry {
namespace {

constexpr uint64_t kSector = 512;

/// An image that is cut off, or goes on with zeros, at another size than its own.
class ResizedSource final : public Source {
 public:
  ResizedSource(std::unique_ptr<Source> image, uint64_t size)
      : image_(std::move(image)), size_(size), held_(std::min(size, image_->size())) {}

  const std::string& name() const override { return image_->name(); }
  uint64_t size() const override { return size_; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    if (offset >= held_) {
      return {offset, max, ExtentKind::kZero};
    }
    return image_->extent_at(offset, std::min(max, held_ - offset));
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const size_t held = held_of(offset, out.size());
    if (held != 0) {
      image_->read_at(offset, out.first(held));
    }
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(held), out.end(), std::byte{0});
  }

  void prefetch(uint64_t offset, uint64_t length) const override {
    if (const uint64_t held = held_of(offset, length); held != 0) {
      image_->prefetch(offset, held);
    }
  }

  void check_unchanged() const override { image_->check_unchanged(); }
  void check_still_there() const override { image_->check_still_there(); }
  std::string stamp() const override { return image_->stamp(); }
  std::chrono::milliseconds silent_for() const override { return image_->silent_for(); }
  uint64_t read_alignment() const override { return image_->read_alignment(); }

 private:
  /// How much of [offset, offset + length) the image has.
  uint64_t held_of(uint64_t offset, uint64_t length) const {
    return offset >= held_ ? 0 : std::min(length, held_ - offset);
  }

  const std::unique_ptr<Source> image_;
  const uint64_t size_;
  const uint64_t held_;
};

}  // namespace

uint64_t guest_bytes(ImageFormat format, uint64_t bytes) {
  const uint64_t part = bytes % kSector;
  if (part == 0) {
    return bytes;
  }
  return format.is_container() ? bytes - part : bytes - part + kSector;
}

std::unique_ptr<Source> in_whole_sectors(std::unique_ptr<Source> image, ImageFormat format) {
  const uint64_t size = guest_bytes(format, image->size());
  if (size == image->size()) {
    return image;
  }
  return std::make_unique<ResizedSource>(std::move(image), size);
}

}  // namespace vmferry
