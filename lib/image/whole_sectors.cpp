// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/whole_sectors.h"

#include <utility>

#include "lib/core/resized_source.h"

namespace vmferry {
namespace {

constexpr uint64_t kSector = 512;

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
