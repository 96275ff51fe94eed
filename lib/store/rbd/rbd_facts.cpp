// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_facts.h"

#include <fmt/format.h>
#include <rbd/features.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "lib/core/printable.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_marks.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

struct FeatureName {
  uint64_t bit;
  const char* name;
};
constexpr FeatureName kFeatureNames[] = {
    {RBD_FEATURE_LAYERING, RBD_FEATURE_NAME_LAYERING},
    {RBD_FEATURE_STRIPINGV2, RBD_FEATURE_NAME_STRIPINGV2},
    {RBD_FEATURE_EXCLUSIVE_LOCK, RBD_FEATURE_NAME_EXCLUSIVE_LOCK},
    {RBD_FEATURE_OBJECT_MAP, RBD_FEATURE_NAME_OBJECT_MAP},
    {RBD_FEATURE_FAST_DIFF, RBD_FEATURE_NAME_FAST_DIFF},
    {RBD_FEATURE_DEEP_FLATTEN, RBD_FEATURE_NAME_DEEP_FLATTEN},
    {RBD_FEATURE_JOURNALING, RBD_FEATURE_NAME_JOURNALING},
    {RBD_FEATURE_DATA_POOL, RBD_FEATURE_NAME_DATA_POOL},
    {RBD_FEATURE_OPERATIONS, RBD_FEATURE_NAME_OPERATIONS},
    {RBD_FEATURE_MIGRATING, RBD_FEATURE_NAME_MIGRATING},
    {RBD_FEATURE_NON_PRIMARY, RBD_FEATURE_NAME_NON_PRIMARY},
    {RBD_FEATURE_DIRTY_CACHE, RBD_FEATURE_NAME_DIRTY_CACHE},
};

/// Asks one volume one question after the other.
class Asker {
 public:
  Asker(rados_ioctx_t io, rbd_image_t image, const RbdLocation& location)
      : io_(io), image_(image), location_(location) {}

  RbdFacts ask() const {
    rbd_image_info_t info;
    check(rbd_stat(image_, &info, sizeof info), "stat");
    RbdFacts facts;
    facts.object_size = info.obj_size;
    facts.id = own_id();
    check(rbd_get_stripe_unit(image_, &facts.stripe_unit), "ask for its stripe unit");
    check(rbd_get_stripe_count(image_, &facts.stripe_count), "ask for its stripe count");
    facts.features = features();
    facts.data_pool = rbd_data_pool(io_, image_);
    facts.parent = parent();
    if (!facts.parent.empty()) {
      check(rbd_get_overlap(image_, &facts.parent_overlap), "ask for its overlap");
    }
    facts.used_bytes = used_bytes({io_, image_, location_.snapshot}, info.size);
    timespec created = {};
    if (rbd_get_create_timestamp(image_, &created) == 0) {
      facts.created_seconds = created.tv_sec;
    }
    facts.snapshots = read_rbd_snapshots(image_, location_);
    return facts;
  }

 private:
  void check(int rc, const char* action) const {
    if (rc < 0) {
      throw rbd_error(rc, location_, action);
    }
  }

  std::string own_id() const {
    std::array<char, 256> id = {};
    check(rbd_get_id(image_, id.data(), id.size()), "ask for its id");
    return id.data();
  }

  std::vector<std::string> features() const {
    uint64_t bits = 0;
    check(rbd_get_features(image_, &bits), "ask for its features");
    std::vector<std::string> names;
    for (const FeatureName& feature : kFeatureNames) {
      if ((bits & feature.bit) != 0) {
        names.emplace_back(feature.name);
      }
      bits &= ~feature.bit;
    }
    for (unsigned bit = 0; bit < 64; ++bit) {
      if ((bits >> bit & 1) != 0) {
        names.push_back("bit " + std::to_string(bit));
      }
    }
    return names;
  }

  std::string parent() const {
    rbd_linked_image_spec_t image = {};
    rbd_snap_spec_t snapshot = {};
    const int rc = rbd_get_parent(image_, &image, &snapshot);
    if (rc == -ENOENT) {
      return {};
    }
    check(rc, "ask for its parent");
    const RbdLocation parent = {.pool = image.pool_name,
                                .name_space = image.pool_namespace,
                                .image = image.image_name,
                                .snapshot = snapshot.name,
                                .options = {}};
    rbd_linked_image_spec_cleanup(&image);
    rbd_snap_spec_cleanup(&snapshot);
    return parent.display();
  }

  const rados_ioctx_t io_;
  const rbd_image_t image_;
  const RbdLocation& location_;
};

void add_snapshot(rbd_image_t image, const rbd_snap_info_t& snapshot,
                  std::vector<SnapshotFacts>& found) {
  rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
  const int rc = rbd_snap_get_namespace_type(image, snapshot.id, &type);
  // Those of groups, mirrors and the trash are not the user's; `rbd snap ls` hides them, too.
  if (rc < 0 || type != RBD_SNAP_NAMESPACE_TYPE_USER) {
    return;
  }
  SnapshotFacts facts;
  facts.id = std::to_string(snapshot.id);
  facts.name = snapshot.name;
  if (auto record = mark_record(image, facts.name)) {
    facts.recorded_name = std::move(record->name);
    facts.recorded_seconds = record->seconds.value_or(0);
  }
  facts.virtual_size = snapshot.size;
  timespec made = {};
  if (rbd_snap_get_timestamp(image, snapshot.id, &made) == 0) {
    facts.date_seconds = made.tv_sec;
  }
  int is_protected = 0;
  facts.is_protected =
      rbd_snap_is_protected(image, snapshot.name, &is_protected) == 0 && is_protected != 0;
  found.push_back(std::move(facts));
}

/// Calls `visit` for each, of whatever kind.
template <typename Visit>
void visit_snapshots(rbd_image_t image, const RbdLocation& location, Visit visit) {
  // More may be made between two calls: ask until the room was enough.
  int room = 16;
  std::vector<rbd_snap_info_t> list;
  int count = -ERANGE;
  while (count == -ERANGE) {
    list.resize(static_cast<size_t>(room));
    count = rbd_snap_list(image, list.data(), &room);
  }
  if (count < 0) {
    throw rbd_error(count, location, "list its snapshots");
  }
  for (int i = 0; i < count; ++i) {
    visit(list[static_cast<size_t>(i)]);
  }
  rbd_snap_list_end(list.data());
}

}  // namespace

std::string librbd_version() {
  int major = 0;
  int minor = 0;
  int extra = 0;
  rbd_version(&major, &minor, &extra);
  return fmt::format("{}.{}.{}", major, minor, extra);
}

std::string rbd_data_pool(rados_ioctx_t io, rbd_image_t image) {
  const int64_t id = rbd_get_data_pool_id(image);
  if (id < 0 || id == rados_ioctx_get_id(io)) {
    return {};
  }
  std::array<char, 512> name = {};
  const int rc =
      rados_pool_reverse_lookup(rados_ioctx_get_cluster(io), id, name.data(), name.size());
  return rc < 0 ? "pool " + std::to_string(id) : name.data();
}

std::vector<SnapshotFacts> read_rbd_snapshots(rbd_image_t image, const RbdLocation& location) {
  std::vector<SnapshotFacts> found;
  visit_snapshots(image, location,
                  [&](const rbd_snap_info_t& snapshot) { add_snapshot(image, snapshot, found); });
  return found;
}

std::set<std::string> rbd_snapshot_names(rbd_image_t image, const RbdLocation& location) {
  std::set<std::string> names;
  visit_snapshots(image, location,
                  [&names](const rbd_snap_info_t& snapshot) { names.insert(snapshot.name); });
  return names;
}

std::vector<std::string> rbd_other_snapshots(rbd_image_t image, const RbdLocation& location) {
  std::vector<std::string> found;
  visit_snapshots(image, location, [&](const rbd_snap_info_t& snapshot) {
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
    const int rc = rbd_snap_get_namespace_type(image, snapshot.id, &type);
    if (rc < 0 || type == RBD_SNAP_NAMESPACE_TYPE_USER) {
      return;
    }
    const char* const what = type == RBD_SNAP_NAMESPACE_TYPE_GROUP    ? "of a group"
                             : type == RBD_SNAP_NAMESPACE_TYPE_TRASH  ? "in the trash"
                             : type == RBD_SNAP_NAMESPACE_TYPE_MIRROR ? "of a mirror"
                                                                      : "not the user's";
    found.push_back(fmt::format("{} ({})", printable(snapshot.name), what));
  });
  return found;
}

RbdFacts read_rbd_facts(rados_ioctx_t io, rbd_image_t image, const RbdLocation& location) {
  return Asker(io, image, location).ask();
}

std::optional<uint64_t> used_bytes(const RbdView& view, uint64_t size) {
  uint64_t sum = 0;
  const int rc = visit_rbd_data(view, {0, size}, RbdDiff::kObjects,
                                [&sum](const Extent& extent) { sum += extent.length; });
  if (rc < 0) {
    return std::nullopt;
  }
  return sum;
}

}  // namespace vmferry
