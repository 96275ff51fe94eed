// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cerrno>

#include "lib/store/rbd.h"
#include "lib/store/rbd_cluster.h"

namespace vmferry {
namespace {

// What an OSD gives back at the least: bluestore allocates in pieces of this size.
constexpr size_t kSmallestHole = 4096;

/// What a callback of librbd needs; it must not throw.
struct Watch {
  const InPlaceOptions& options;
  Progress& progress;
  uint64_t size;
};

int note_progress(uint64_t done, uint64_t total, void* argument) {
  const auto& watch = *static_cast<Watch*>(argument);
  if (total > 0) {
    watch.progress.data_done = static_cast<uint64_t>(
        static_cast<double>(watch.size) * static_cast<double>(done) / static_cast<double>(total));
  }
  return watch.options.stop.stop_requested() ? -ECANCELED : 0;
}

int add_length(uint64_t /*offset*/, size_t length, int exists, void* sum) {
  if (exists != 0) *static_cast<uint64_t*>(sum) += length;
  return 0;
}

Error in_use(const RbdLocation& location, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = location.display(),
                .action = "open for writing",
                .cause = std::move(cause),
                .hint = "'rbd status' shows who; shut the machine down first"});
}

class SparseVolume {
 public:
  SparseVolume(const RbdLocation& location, const CephOptions& ceph, bool read_only)
      : location_(location), pool_(location, ceph) {
    // Our own watch begins with opening for writing: others are counted before that.
    if (!read_only) refuse_if_in_use();
    const int rc = image_.open(pool_.io(), location.image, location.snapshot, read_only);
    if (rc == -ENOENT) {
      throw Error({.kind = ErrorKind::kNotFound,
                   .object = location.display(),
                   .action = "open",
                   .cause = "there is no such volume",
                   .hint = "'rbd ls " + location.pool + "' shows those there are"});
    }
    if (rc < 0) throw rbd_error(rc, location, "open");
    const int stat_rc = rbd_stat(image_.get(), &info_, sizeof info_);
    if (stat_rc < 0) throw rbd_error(stat_rc, location, "stat");
  }

  uint64_t size() const { return info_.size; }

  /// As 'rbd du' counts: objects.
  uint64_t allocated() const {
    uint64_t sum = 0;
    const int rc = rbd_diff_iterate2(image_.get(), nullptr, 0, info_.size, 0, 1, add_length, &sum);
    if (rc < 0) throw rbd_error(rc, location_, "ask which objects exist");
    return sum;
  }

  void sparsify(const InPlaceOptions& options, Progress& progress) {
    lock();
    Watch watch = {options, progress, info_.size};
    const int rc = rbd_sparsify_with_progress(image_.get(), kSmallestHole, note_progress, &watch);
    if (options.stop.stop_requested()) throw cancelled_error();
    if (rc < 0) throw rbd_error(rc, location_, "sparsify");
    const int close_rc = image_.close();
    if (close_rc < 0) throw rbd_error(close_rc, location_, "close");
  }

 private:
  void refuse_if_in_use() {
    RbdImage look;
    if (look.open(pool_.io(), location_.image, location_.snapshot, true) < 0) return;
    if (look.watchers() > 0) throw in_use(location_, "a client has the volume open");
  }

  /// Where the volume has the feature, a guest that starts meanwhile cannot write.
  void lock() {
    uint64_t features = 0;
    int rc = rbd_get_features(image_.get(), &features);
    if (rc < 0) throw rbd_error(rc, location_, "ask for its features");
    if ((features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0) return;
    rc = rbd_lock_acquire(image_.get(), RBD_LOCK_MODE_EXCLUSIVE);
    if (rc == -EBUSY || rc == -EROFS || rc == -EAGAIN) {
      throw in_use(location_, "another client holds its lock");
    }
    if (rc < 0) throw rbd_error(rc, location_, "lock");
  }

  const RbdLocation& location_;
  RbdPool pool_;
  RbdImage image_;
  rbd_image_info_t info_ = {};
};

}  // namespace

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
  SparseVolume volume(location, options.ceph, false);
  SpaceUse use;
  use.before = volume.allocated();
  if (options.before_change) options.before_change();
  volume.sparsify(options, progress);
  use.after = *volume_bytes(location, options.ceph);
  use.dropped = *use.before - std::min(*use.before, *use.after);
  return use;
}

std::optional<uint64_t> volume_bytes(const RbdLocation& location, const CephOptions& ceph) {
  return SparseVolume(location, ceph, true).allocated();
}

}  // namespace vmferry
