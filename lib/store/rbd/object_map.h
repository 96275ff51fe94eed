// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace vmferry {

/// An RBD object map as the object class "rbd" encodes it (Ceph: common/bit_vector.hpp,
/// include/rbd/object_map_types.h): two bits an object, 0 for one that does not exist, the first
/// object in the highest bits. A view: the bytes are the caller's.
class ObjectMap {
 public:
  /// How many bytes the encoded map of so many objects takes at most.
  static size_t encoded_bytes(uint64_t objects);
  /// Nothing if this is no map, of another version, or of fewer than `objects`.
  static std::optional<ObjectMap> parse(std::span<const std::byte> encoded, uint64_t objects);

  /// Visits in order the runs of objects within [first, end) that exist or may exist.
  void visit_runs(uint64_t first, uint64_t end,
                  const std::function<void(uint64_t first, uint64_t end)>& visit) const;

 private:
  explicit ObjectMap(std::span<const std::byte> states) : states_(states) {}
  bool exists(uint64_t object) const;
  uint64_t skip_missing(uint64_t first, uint64_t end) const;

  std::span<const std::byte> states_;
};

}  // namespace vmferry
