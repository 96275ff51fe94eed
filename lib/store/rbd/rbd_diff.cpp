// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_diff.h"

#include <fmt/format.h>
#include <rbd/features.h>

#include <algorithm>
#include <array>
#include <vector>

#include "lib/store/rbd/object_map.h"

namespace vmferry {
namespace {

using Visit = std::function<void(const Extent&)>;

int pass_on(uint64_t offset, size_t length, int exists, void* visit) {
  if (exists != 0) {
    (*static_cast<const Visit*>(visit))({offset, length, ExtentKind::kData});
  }
  return 0;
}

/// Object n holds the n-th piece of the volume, and what it does not hold reads as zeros.
bool objects_are_all(const RbdView& view, const rbd_image_info_t& info, RbdDiff what) {
  uint64_t unit = 0;
  uint64_t count = 0;
  uint64_t overlap = 0;
  if (rbd_get_stripe_unit(view.image, &unit) < 0 || rbd_get_stripe_count(view.image, &count) < 0 ||
      rbd_get_overlap(view.image, &overlap) < 0) {
    return false;
  }
  return unit == info.obj_size && count == 1 && (what == RbdDiff::kObjects || overlap == 0);
}

/// The name of the object with the map (Ceph: librbd::ObjectMap::object_map_name); empty: unknown.
std::string map_name(const RbdView& view) {
  std::array<char, 256> id = {};
  if (rbd_get_id(view.image, id.data(), id.size()) < 0) {
    return {};
  }
  std::string name = fmt::format("rbd_object_map.{}", id.data());
  if (view.snapshot.empty()) {
    return name;
  }
  uint64_t snapshot_id = 0;
  if (rbd_snap_get_id(view.image, view.snapshot.c_str(), &snapshot_id) < 0) {
    return {};
  }
  return fmt::format("{}.{:016x}", name, snapshot_id);
}

/// False: the object map does not tell.
bool visit_by_map(const RbdView& view, const Extent& range, RbdDiff what, const Visit& visit) {
  rbd_image_info_t info;
  if (what == RbdDiff::kExactly || rbd_stat(view.image, &info, sizeof info) < 0 ||
      range.end() > info.size || !has_object_map(view.image) ||
      !objects_are_all(view, info, what)) {
    return false;
  }
  const std::string name = map_name(view);
  if (name.empty()) {
    return false;
  }
  std::vector<std::byte> encoded(ObjectMap::encoded_bytes(info.num_objs));
  const int got = rados_exec(view.io, name.c_str(), "rbd", "object_map_load", nullptr, 0,
                             reinterpret_cast<char*>(encoded.data()), encoded.size());
  if (got < 0) {
    return false;
  }
  const auto map =
      ObjectMap::parse(std::span(encoded).first(static_cast<size_t>(got)), info.num_objs);
  if (!map) {
    return false;
  }
  const uint64_t object = info.obj_size;
  map->visit_runs(range.offset / object, (range.end() + object - 1) / object,
                  [&](uint64_t first, uint64_t end) {
                    const uint64_t from = std::max(first * object, range.offset);
                    const uint64_t to = std::min(end * object, range.end());
                    visit({from, to - from, ExtentKind::kData});
                  });
  return true;
}

}  // namespace

bool has_object_map(rbd_image_t image) {
  uint64_t features = 0;
  uint64_t flags = 0;
  return rbd_get_features(image, &features) == 0 && (features & RBD_FEATURE_OBJECT_MAP) != 0 &&
         rbd_get_flags(image, &flags) == 0 && (flags & RBD_FLAG_OBJECT_MAP_INVALID) == 0;
}

int visit_rbd_data(const RbdView& view, const Extent& range, RbdDiff what, const Visit& visit) {
  if (range.length == 0 || visit_by_map(view, range, what, visit)) {
    return 0;
  }
  // The interface of C takes the visitor as a pointer to what may be changed.
  return rbd_diff_iterate2(view.image, nullptr, range.offset, range.length,
                           what == RbdDiff::kObjectsAndParents ? 1 : 0,
                           what == RbdDiff::kExactly ? 0 : 1, pass_on, const_cast<Visit*>(&visit));
}

}  // namespace vmferry
