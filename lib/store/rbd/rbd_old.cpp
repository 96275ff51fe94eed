// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_old.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "lib/core/printable.h"
#include "lib/store/rbd/rbd_clones.h"
#include "lib/store/rbd/rbd_names.h"

namespace vmferry {
namespace {

/// Asks one open volume what stands against replacing it. The rules are those of librbd's removal
/// (api::Image::remove, api::Trash::move, image::PreRemoveRequest).
class Objections {
 public:
  Objections(const RbdPool& pool, const RbdLocation& location, const RbdImage& image,
             const std::string& name)
      : pool_(pool), location_(location), image_(image), spec_(location.beside(name).ceph_name()) {}

  void raise() const {
    refuse_format();
    refuse_clients();
    refuse_locks();
    refuse_migration();
    refuse_group();
    refuse_mirror();
    refuse_snapshots();
  }

 private:
  Error refusal(std::string cause, std::string hint) const {
    return Error({.kind = ErrorKind::kConflict,
                  .object = location_.display(),
                  .action = "replace",
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

  void check(int rc, const char* action) const {
    if (rc < 0) {
      throw rbd_error(rc, location_, action);
    }
  }

  void refuse_format() const {
    uint8_t is_old = 0;
    check(rbd_get_old_format(image_.get(), &is_old), "ask for its format");
    if (is_old == 0) {
      return;
    }
    throw refusal("the volume has the old format 1, which cannot be replaced safely",
                  "remove it first ('rbd rm " + spec_ + "'), or choose another name");
  }

  void refuse_clients() const {
    if (count_writers(image_.get(), location_) == 0) {
      return;
    }
    throw refusal("a client has the volume open",
                  "'rbd status " + spec_ + "' shows who; stop it first");
  }

  /// Clients with the feature exclusive-lock lock with a cookie "auto ..."; that of one that died
  /// is broken by the removal. All others are somebody's own ('rbd lock add').
  void refuse_locks() const {
    int exclusive = 0;
    std::vector<char> tag(4096), clients(65536), cookies(65536), addresses(65536);
    size_t tag_size = tag.size(), clients_size = clients.size(), cookies_size = cookies.size(),
           addresses_size = addresses.size();
    const ssize_t count = rbd_list_lockers(image_.get(), &exclusive, tag.data(), &tag_size,
                                           clients.data(), &clients_size, cookies.data(),
                                           &cookies_size, addresses.data(), &addresses_size);
    check(static_cast<int>(count), "ask for its locks");
    const char* cookie = cookies.data();
    for (ssize_t i = 0; i < count; ++i, cookie += std::string_view(cookie).size() + 1) {
      if (std::string_view(cookie).starts_with("auto ")) {
        continue;
      }
      throw refusal("the volume is locked ('" + printable(cookie) + "')",
                    "'rbd lock ls " + spec_ + "' shows who; 'rbd lock rm' takes the lock away");
    }
  }

  void refuse_migration() const {
    uint64_t features = 0;
    check(rbd_get_features(image_.get(), &features), "ask for its features");
    if ((features & RBD_FEATURE_MIGRATING) == 0) {
      return;
    }
    throw refusal("the volume is the target of an 'rbd migration' that is not committed",
                  "end it first: 'rbd migration execute " + spec_ + "' and 'rbd migration commit " +
                      spec_ + "'");
  }

  void refuse_group() const {
    rbd_group_info_t group = {};
    check(rbd_get_group(image_.get(), &group, sizeof group), "ask for its group");
    const std::string name = group.name == nullptr ? "" : group.name;
    const int64_t pool = group.pool;
    rbd_group_info_cleanup(&group, sizeof group);
    if (pool < 0 || name.empty()) {
      return;
    }
    const std::string group_spec = in_pool(pool).beside(name).ceph_name();
    throw refusal("the volume belongs to the group '" + group_spec + "'",
                  "'rbd group image rm " + group_spec + " " + spec_ + "' takes it out");
  }

  RbdLocation in_pool(int64_t id) const {
    RbdLocation location = location_;
    std::array<char, 512> name = {};
    if (rados_pool_reverse_lookup(pool_.client().get(), id, name.data(), name.size()) >= 0) {
      location.pool = name.data();
    }
    return location;
  }

  void refuse_mirror() const {
    rbd_mirror_image_info_t mirror = {};
    const int rc = rbd_mirror_image_get_info(image_.get(), &mirror, sizeof mirror);
    if (rc == -ENOENT || rc == -EOPNOTSUPP) {
      return;
    }
    check(rc, "ask for its mirroring");
    const bool mirrored = mirror.state != RBD_MIRROR_IMAGE_DISABLED;
    rbd_mirror_image_get_info_cleanup(&mirror);
    if (!mirrored) {
      return;
    }
    throw refusal("the volume is mirrored to another cluster, or from there",
                  "'rbd mirror image disable " + spec_ + "' ends that");
  }

  void refuse_snapshots() const {
    const std::vector<RbdClone> children = rbd_clones(image_.get(), location_);
    if (!children.empty()) {
      throw refusal(
          fmt::format("the volume has {} clone(s) that need its data, as '{}'{}", children.size(),
                      children.front().name, children.front().trash ? " in the trash" : ""),
          children.front().remedy + "; or choose another name");
    }
    for (const Snapshot& snapshot : snapshots()) {
      refuse_snapshot(snapshot);
    }
  }

  struct Snapshot {
    uint64_t id;
    std::string name;
  };

  std::vector<Snapshot> snapshots() const {
    std::vector<rbd_snap_info_t> list;
    int room = 16;
    int count = -ERANGE;
    while (count == -ERANGE) {
      list.resize(static_cast<size_t>(room));
      count = rbd_snap_list(image_.get(), list.data(), &room);
    }
    check(count, "list its snapshots");
    std::vector<Snapshot> found;
    found.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      found.push_back({list[static_cast<size_t>(i)].id, list[static_cast<size_t>(i)].name});
    }
    rbd_snap_list_end(list.data());
    return found;
  }

  void refuse_snapshot(const Snapshot& snapshot) const {
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
    check(rbd_snap_get_namespace_type(image_.get(), snapshot.id, &type), "ask for a snapshot");
    switch (type) {
      case RBD_SNAP_NAMESPACE_TYPE_TRASH:
        return;  // without clones it goes with the volume
      case RBD_SNAP_NAMESPACE_TYPE_GROUP:
        throw refusal(
            "the volume has snapshots that belong to a group",
            "'rbd snap ls --all " + spec_ + "' shows them; remove them with 'rbd group snap rm'");
      case RBD_SNAP_NAMESPACE_TYPE_MIRROR:
        throw refusal("the volume has snapshots of its mirroring",
                      "'rbd mirror image disable " + spec_ + "' removes them");
      case RBD_SNAP_NAMESPACE_TYPE_USER:
        break;
    }
    int is_protected = 0;
    check(rbd_snap_is_protected(image_.get(), snapshot.name.c_str(), &is_protected),
          "ask for a snapshot");
    const std::string name = spec_ + "@" + printable(snapshot.name);
    throw refusal("the volume has snapshots, as '" + name + "'",
                  is_protected != 0
                      ? "'rbd snap unprotect " + name + "', then remove them ('rbd snap purge " +
                            spec_ + "'), or choose another name"
                      : "remove them ('rbd snap purge " + spec_ + "'), or choose another name");
  }

  const RbdPool& pool_;
  const RbdLocation& location_;
  const RbdImage& image_;
  const std::string spec_;
};

Error used_meanwhile(const RbdLocation& location, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = location.display(),
                .action = "replace",
                .cause = std::move(cause),
                .hint = "the volume is as it was left; when it is not in use any more, try again"});
}

}  // namespace

RbdOldVolume::RbdOldVolume(const RbdPool& pool, const RbdLocation& location, const RbdImage& image)
    : pool_(pool), location_(location), stamp_(take_rbd_stamp(pool, image.get(), location)) {
  Objections(pool_, location_, image, location_.image).raise();
}

void RbdOldVolume::check_unchanged() const {
  RbdImage image;
  const int rc = image.open(pool_.io(), location_.image, "", true);
  if (rc == -ENOENT) {
    throw used_meanwhile(location_, "it was removed or renamed while the copy ran");
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "look at the volume again");
  }
  Objections(pool_, location_, image, location_.image).raise();
  try {
    check_rbd_unchanged(pool_, location_, stamp_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConflict) {
      throw;
    }
    throw used_meanwhile(location_, error.parts().cause);
  }
  uint64_t size = 0;
  const int size_rc = rbd_get_size(image.get(), &size);
  if (size_rc < 0) {
    throw rbd_error(size_rc, location_, "ask for its size");
  }
  if (size != stamp_.size) {
    throw used_meanwhile(location_, "its size was changed meanwhile");
  }
}

void RbdOldVolume::check_let_go(const std::string& name) const {
  RbdImage image;
  const int rc = image.open(pool_.io(), name, "", true);
  if (rc < 0) {
    throw rbd_error(rc, location_, "look at the volume again");
  }
  Objections(pool_, location_, image, location_.image).raise();
}

}  // namespace vmferry
