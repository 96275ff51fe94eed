// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_base.h"

#include <fmt/format.h>
#include <rbd/features.h>

#include <cerrno>
#include <vector>

#include "lib/core/resized_source.h"
#include "lib/store/rbd/rbd_image.h"
#include "lib/store/rbd/rbd_new_volume.h"
#include "lib/store/rbd/rbd_source.h"

namespace vmferry {
namespace {

/// Parents of one volume that a kernel follows (rbd: RBD_MAX_PARENT_CHAIN_LEN). librbd knows no
/// limit.
constexpr unsigned kMostParents = 16;

/// The id of a volume of that name in the trash; empty: there is none, or nobody tells.
std::string id_in_trash(rados_ioctx_t io, const std::string& name) {
  std::vector<rbd_trash_image_info_t> list;
  size_t count = 64;
  int rc = -ERANGE;
  while (rc == -ERANGE) {
    list.resize(count);
    rc = rbd_trash_list(io, list.data(), &count);
  }
  if (rc < 0) {
    return {};
  }
  std::string id;
  for (size_t i = 0; i < count; ++i) {
    if (list[i].name == name) {
      id = list[i].id;
    }
  }
  rbd_trash_list_cleanup(list.data(), count);
  return id;
}

struct OpenParent {
  RbdPool pool;
  RbdImage image;
};

/// The snapshot that `image` is a clone of; null: it has no parent, or this user may not open it.
std::unique_ptr<OpenParent> open_parent(rbd_image_t image, const RbdLocation& base,
                                        const std::shared_ptr<const CephClient>& client) {
  rbd_linked_image_spec_t volume = {};
  rbd_snap_spec_t snapshot = {};
  const int rc = rbd_get_parent(image, &volume, &snapshot);
  if (rc == -ENOENT) {
    return nullptr;
  }
  if (rc < 0) {
    throw rbd_error(rc, base, "ask for its parents");
  }
  const RbdLocation where = {
      .pool = volume.pool_name, .name_space = volume.pool_namespace, .options = {}};
  const std::string id = volume.image_id;
  const uint64_t snapshot_id = snapshot.id;
  rbd_linked_image_spec_cleanup(&volume);
  rbd_snap_spec_cleanup(&snapshot);
  auto parent = std::unique_ptr<OpenParent>(new OpenParent{RbdPool(where, client), {}});
  return parent->image.open_by_id(parent->pool.io(), id, snapshot_id) < 0 ? nullptr
                                                                          : std::move(parent);
}

}  // namespace

RbdBase::RbdBase(const RbdLocation& snapshot, const RbdPool& volumes)
    : location_(snapshot), pool_(std::make_shared<const RbdPool>(snapshot, volumes.hold_client())) {
  open();
  refuse_image();
  refuse_depth();
}

Error RbdBase::refusal(std::string cause, std::string hint) const {
  return Error({.kind = ErrorKind::kConflict,
                .object = location_.display(),
                .action = "take as a base",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void RbdBase::open() {
  const int rc = image_.open(pool_->io(), location_.image, location_.snapshot, true);
  if (rc == -ENOENT) {
    tell_what_is_missing();
  }
  const int size_rc = rc < 0 ? rc : rbd_get_size(image_.get(), &size_);
  if (size_rc < 0) {
    throw rbd_error(size_rc, location_, "open the base");
  }
}

void RbdBase::tell_what_is_missing() const {
  ErrorParts parts = {
      .kind = ErrorKind::kNotFound,
      .object = location_.display(),
      .action = "open the base",
      .cause = "no such volume",
      .hint = "'rbd ls " + location_.beside("").ceph_name() + "' shows those there are"};
  RbdImage volume;
  if (volume.open(pool_->io(), location_.image, "", true) == 0) {
    parts.cause = "the volume has no such snapshot";
    parts.hint = "'rbd snap create " + location_.ceph_name() + "' makes it of the volume as it is";
  } else if (const std::string id = id_in_trash(pool_->io(), location_.image); !id.empty()) {
    parts.cause = "the volume is in the trash";
    parts.hint = "'rbd trash restore " + location_.beside(id).ceph_name() + "' brings it back";
  }
  throw Error(std::move(parts));
}

void RbdBase::refuse_image() const {
  uint8_t is_old = 0;
  uint64_t features = 0;
  for (const int rc :
       {rbd_get_old_format(image_.get(), &is_old), rbd_get_features(image_.get(), &features)}) {
    if (rc < 0) {
      throw rbd_error(rc, location_, "ask for its features");
    }
  }
  if (is_old != 0 || (features & RBD_FEATURE_LAYERING) == 0) {
    throw refusal(is_old != 0 ? "the volume has the old format 1, which has no clones"
                              : "the volume lacks the feature layering, so it can have no clones",
                  "copy it to a new volume ('vmferry convert'), and take a snapshot of that");
  }
}

void RbdBase::refuse_depth() const {
  std::unique_ptr<OpenParent> below;
  rbd_image_t at = image_.get();
  for (unsigned parents = 1; parents <= kMostParents; ++parents) {  // of the new volume
    std::unique_ptr<OpenParent> next = open_parent(at, location_, pool_->hold_client());
    if (!next) {
      return;
    }
    below = std::move(next);
    at = below->image.get();
  }
  throw refusal(fmt::format("it has {} parents, one below the other; a clone of it would have more "
                            "than a kernel follows",
                            kMostParents),
                "'rbd flatten " + location_.beside(location_.image).ceph_name() +
                    "' makes the volume independent of them; take a new snapshot of it then");
}

void RbdBase::clone(rados_ioctx_t io, const std::string& name, const RbdLayout& layout,
                    const RbdLocation& location) const {
  clone_rbd_image(pool_->io(), location_, size_, io, name, layout, location);
}

void RbdBase::open_disk(uint64_t size) {
  disk_ = std::make_unique<ResizedSource>(read_rbd_volume(location_, pool_), size);
}

/// An empty volume, or a clone of the base, open for writing.
void RbdNewVolume::make_image() {
  if (base_) {
    base_->clone(pool_.io(), partial_.image, options_.layout, location_);
  } else {
    create_rbd_image(pool_.io(), partial_.image, options_.size, options_.layout, location_);
  }
  const int rc = image_.open(pool_.io(), partial_.image, "", false);
  if (rc < 0) {
    throw rbd_error(rc, location_, "open the new volume");
  }
  if (!base_) {
    return;
  }
  pulse_.beat();
  const int resize_rc =
      base_->size() == options_.size ? 0 : rbd_resize(image_.get(), options_.size);
  if (resize_rc < 0) {
    throw rbd_error(resize_rc, location_, fmt::format("set the size to {} bytes", options_.size));
  }
  forget_notes_of_base();
  base_->open_disk(options_.size);
}

}  // namespace vmferry
