// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <array>
#include <cerrno>

#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_stamp.h"

namespace vmferry {
namespace {

// What an OSD gives back at the least: bluestore allocates in pieces of this size.
constexpr size_t kSmallestHole = 4096;

Error in_use(const RbdLocation& location, std::string cause) {
  return Error(
      {.kind = ErrorKind::kConflict,
       .object = location.display(),
       .action = "open for writing",
       .cause = std::move(cause),
       .hint = "'rbd status " + location.ceph_name() + "' shows who; shut the machine down first"});
}

void open_or_throw(RbdImage& image, const RbdPool& pool, const RbdLocation& location,
                   bool read_only) {
  const int rc = image.open(pool.io(), location.image, location.snapshot, read_only);
  if (rc == -ENOENT) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = location.display(),
                 .action = "open",
                 .cause = "no such volume",
                 .hint = "'rbd ls " + location.beside("").ceph_name() + "' shows those there are"});
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "open");
  }
}

rbd_image_info_t stat_image(rbd_image_t image, const RbdLocation& location) {
  rbd_image_info_t info;
  const int rc = rbd_stat(image, &info, sizeof info);
  if (rc < 0) {
    throw rbd_error(rc, location, "stat");
  }
  return info;
}

std::string id_of(rbd_image_t image, const RbdLocation& location) {
  std::array<char, 256> id = {};
  const int rc = rbd_get_id(image, id.data(), id.size());
  if (rc < 0) {
    throw rbd_error(rc, location, "ask for its id");
  }
  return id.data();
}

/// Our own watch begins with opening for writing: others are counted before that. Returns the id.
std::string refuse_if_in_use(const RbdPool& pool, const RbdLocation& location) {
  RbdImage look;
  open_or_throw(look, pool, location, true);
  if (count_writers(look.get(), location) > 0) {
    throw in_use(location, "a client has the volume open");
  }
  return id_of(look.get(), location);
}

/// Where the volume has the feature, a guest that starts meanwhile cannot write.
void lock(rbd_image_t image, const RbdLocation& location) {
  uint64_t features = 0;
  int rc = rbd_get_features(image, &features);
  if (rc < 0) {
    throw rbd_error(rc, location, "ask for its features");
  }
  if ((features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0) {
    return;
  }
  rc = rbd_lock_acquire(image, RBD_LOCK_MODE_EXCLUSIVE);
  if (rc == -EBUSY || rc == -EROFS || rc == -EAGAIN) {
    throw in_use(location, "another client holds its lock");
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "lock");
  }
}

/// Somebody may have come between the first look and our opening.
void keep_others_out(rbd_image_t image, const RbdLocation& location, const std::string& id) {
  if (id_of(image, location) != id) {
    throw in_use(location, "another volume took its name just now");
  }
  lock(image, location);
  if (count_writers(image, location) > 1) {
    throw in_use(location, "a client has the volume open");
  }
}

struct Work {
  const RbdSparsifyOptions& options;
  rbd_image_info_t info;

  /// Counts objects. A negative answer makes librbd start no more of them (AsyncObjectThrottle).
  static int on_progress(uint64_t done, uint64_t /*total*/, void* argument) {
    const auto* self = static_cast<const Work*>(argument);
    if (self->options.stop.stop_requested()) {
      return -ECANCELED;
    }
    self->options.progress(std::min(done * self->info.obj_size, self->info.size), self->info.size);
    return 0;
  }
};

std::optional<uint64_t> bytes_in(const RbdPool& pool, const RbdLocation& location) {
  RbdImage image;
  open_or_throw(image, pool, location, true);
  return used_bytes({pool.io(), image.get(), location.snapshot},
                    stat_image(image.get(), location).size);
}

void sparsify_in(const RbdPool& pool, const RbdLocation& volume,
                 const RbdSparsifyOptions& options) {
  const std::string id = options.may_be_in_use ? "" : refuse_if_in_use(pool, volume);
  RbdImage image;
  open_or_throw(image, pool, volume, false);
  Work work = {options, stat_image(image.get(), volume)};
  if (!options.may_be_in_use) {
    keep_others_out(image.get(), volume, id);
  }
  if (options.before_change) {
    options.before_change();
  }
  int rc = rbd_sparsify_with_progress(image.get(), kSmallestHole, Work::on_progress, &work);
  if (options.stop.stop_requested()) {
    throw cancelled_error();
  }
  if (rc < 0) {
    throw rbd_error(rc, volume, "give back zeros");
  }
  options.progress(work.info.size, work.info.size);
  rc = image.close();
  if (rc < 0) {
    throw rbd_error(rc, volume, "close");
  }
}

}  // namespace

void sparsify_rbd_volume(const RbdLocation& volume, const RbdSparsifyOptions& options) {
  sparsify_in(RbdPool(volume, options.ceph, CephSharing::kOwn), volume, options);
}

SpaceUse sparsify_volume(const RbdLocation& location, const InPlaceOptions& options,
                         Progress& progress) {
  if (!location.snapshot.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = location.display(),
                 .action = "sparsify in place",
                 .cause = "a snapshot cannot be changed",
                 .hint = "name the volume, without the @, or copy the snapshot to a new volume"});
  }
  if (options.dry_run) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "look for zeros",
                 .cause = "Ceph does not tell what it would give back",
                 .hint = "name a target: the copy then tells, without writing: vmferry sparsify "
                         "--dry-run SOURCE TARGET"});
  }
  const RbdPool pool(location, options.network.ceph, CephSharing::kOwn);
  SpaceUse use;
  use.before = bytes_in(pool, location);
  sparsify_in(pool, location,
              {.ceph = options.network.ceph,
               .progress = [&progress](uint64_t done, uint64_t) { progress.data_done = done; },
               .before_change = options.before_change,
               .stop = options.stop});
  use.after = bytes_in(pool, location);
  if (use.before && use.after) {
    use.dropped = *use.before - std::min(*use.before, *use.after);
  }
  return use;
}

std::optional<uint64_t> volume_bytes(const RbdLocation& location, const CephOptions& ceph) {
  return bytes_in(RbdPool(location, ceph, CephSharing::kShared), location);
}

}  // namespace vmferry
