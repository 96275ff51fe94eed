// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/whole_sectors.h"

#include <algorithm>
#include <cstring>

namespace vmferry {
namespace {

constexpr uint64_t kSector = 512;

/// An image that is cut off, or goes on with zeros, at another size than its own.
class ResizedSource final : public ForwardingSource {
 public:
  ResizedSource(std::unique_ptr<Source> image, uint64_t size)
      : ForwardingSource(*image),
        image_(std::move(image)),
        size_(size),
        held_(std::min(size, image_->size())) {}

  uint64_t size() const override { return size_; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    if (offset >= held_) {
      return {offset, max, ExtentKind::kZero};
    }
    return ForwardingSource::extent_at(offset, std::min(max, held_ - offset));
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const size_t held = held_of(offset, out.size());
    if (held != 0) {
      ForwardingSource::read_at(offset, out.first(held));
    }
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(held), out.end(), std::byte{0});
  }

  void prefetch(uint64_t offset, uint64_t length) const override {
    if (const uint64_t held = held_of(offset, length); held != 0) {
      ForwardingSource::prefetch(offset, held);
    }
  }

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
