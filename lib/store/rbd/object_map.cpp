// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/object_map.h"

#include "lib/core/endian.h"

namespace vmferry {
namespace {

constexpr uint64_t kObjectsPerByte = 4;
// The length of the header, its version, the oldest version that can read it, the length of what
// follows, and the number of objects; all of them little endian.
constexpr size_t kCompatibleAt = 5;
constexpr size_t kCountAt = 10;
constexpr size_t kHeader = 18;
constexpr size_t kFooter = 4;  // the length of the checksums, which the class leaves out

uint64_t bytes_for(uint64_t objects) { return (objects + kObjectsPerByte - 1) / kObjectsPerByte; }

}  // namespace

size_t ObjectMap::encoded_bytes(uint64_t objects) { return kHeader + bytes_for(objects) + kFooter; }

std::optional<ObjectMap> ObjectMap::parse(std::span<const std::byte> encoded, uint64_t objects) {
  if (encoded.size() < kHeader) {
    return std::nullopt;
  }
  const bool known =
      le32(encoded, 0) == kHeader - 4 && std::to_integer<int>(encoded[kCompatibleAt]) == 1;
  const uint64_t count = le64(encoded, kCountAt);
  if (!known || count < objects) {
    return std::nullopt;
  }
  const auto states = encoded.subspan(kHeader);
  if (states.size() < bytes_for(objects)) {
    return std::nullopt;
  }
  return ObjectMap(states.first(bytes_for(objects)));
}

void ObjectMap::visit_runs(uint64_t first, uint64_t end,
                           const std::function<void(uint64_t, uint64_t)>& visit) const {
  while ((first = skip_missing(first, end)) < end) {
    const uint64_t begin = first;
    while (first < end && exists(first)) {
      ++first;
    }
    visit(begin, first);
  }
}

bool ObjectMap::exists(uint64_t object) const {
  const auto byte = std::to_integer<unsigned>(states_[object / kObjectsPerByte]);
  return (byte >> (kObjectsPerByte - 1 - object % kObjectsPerByte) * 2 & 3) != 0;
}

uint64_t ObjectMap::skip_missing(uint64_t first, uint64_t end) const {
  while (first < end && !exists(first)) {
    const bool whole_byte =
        first % kObjectsPerByte == 0 && states_[first / kObjectsPerByte] == std::byte{0};
    first += whole_byte ? kObjectsPerByte : 1;
  }
  return first;
}

}  // namespace vmferry
