// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd_stamp.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "lib/core/format_bytes.h"

namespace vmferry {
namespace {

using namespace std::chrono_literals;

constexpr const char* kChecking = "check that it is still what was opened";

Error changed(const RbdLocation& location, std::string cause) {
  return Error({.kind = ErrorKind::kConflict,
                .object = location.display(),
                .action = kChecking,
                .cause = std::move(cause),
                .hint = "what was read may be a mixture; stop what changes it and start again, or "
                        "copy a snapshot of it"});
}

void check(int rc, const RbdLocation& location) {
  if (rc < 0) throw rbd_error(rc, location, kChecking);
}

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void ask_header(const RbdPool& pool, const RbdLocation& location, RbdStamp& stamp) {
  // Whoever opens a volume for writing watches this object (Ceph: doc/dev/rbd-layering.rst and
  // librbd::image_watcher); RADOS notes the time of that, as of every write.
  const std::string header = "rbd_header." + stamp.id;
  uint64_t size = 0;
  check(rados_stat(pool.io(), header.c_str(), &size, &stamp.header_time), location);
  stamp.header_version = rados_get_last_version(pool.io());
}

RbdStamp ask(const RbdPool& pool, rbd_image_t image, const RbdLocation& location) {
  RbdStamp stamp;
  std::array<char, 256> id = {};
  check(rbd_get_id(image, id.data(), id.size()), location);
  stamp.id = id.data();
  check(rbd_get_size(image, &stamp.size), location);
  check(rbd_get_modify_timestamp(image, &stamp.modified), location);
  check(rbd_get_access_timestamp(image, &stamp.accessed), location);
  if (!location.snapshot.empty()) {
    uint64_t snapshot_id = 0;
    check(rbd_snap_get_id(image, location.snapshot.c_str(), &snapshot_id), location);
    stamp.snapshot_id = snapshot_id;
  }
  ask_header(pool, location, stamp);
  return stamp;
}

/// A writer takes the lock of a volume that has one, which the version tells. Else there is only a
/// time, in whole seconds: within the second of the last change a client may come and go unseen.
bool is_too_young(rbd_image_t image, const RbdLocation& location, const RbdStamp& stamp) {
  uint64_t features = 0;
  check(rbd_get_features(image, &features), location);
  return (features & RBD_FEATURE_EXCLUSIVE_LOCK) == 0 && std::time(nullptr) == stamp.header_time;
}

/// A reader that is not us may have noted that it read, and nothing else: that is as old as the
/// header then.
bool was_only_read(const RbdStamp& before, const RbdStamp& now) {
  return !same_time(before.accessed, now.accessed) &&
         std::abs(now.header_time - now.accessed.tv_sec) <= 1;
}

void check_nobody_wrote(const RbdLocation& location, const RbdStamp& before, const RbdStamp& now,
                        size_t writers) {
  if (writers > 0) throw changed(location, "a client opened it for writing meanwhile");
  if (!same_time(now.modified, before.modified)) {
    throw changed(location, "something wrote to it meanwhile");
  }
  const bool same_header =
      now.header_time == before.header_time && now.header_version == before.header_version;
  if (same_header || now.size > before.size || was_only_read(before, now)) return;
  throw changed(location, "a client had it open for writing meanwhile, or changed what it is");
}

void open_again(RbdImage& image, const RbdPool& pool, const RbdLocation& location) {
  int rc = image.open(pool.io(), location.image, "", true);
  if (rc == -ENOENT) throw changed(location, "the volume was removed or renamed meanwhile");
  check(rc, location);
  if (location.snapshot.empty()) return;
  rc = rbd_snap_set(image.get(), location.snapshot.c_str());
  if (rc == -ENOENT) throw changed(location, "the snapshot was removed or renamed meanwhile");
  check(rc, location);
}

/// Opens `image`, which has to be what the stamp was taken of, and no shorter.
RbdStamp ask_again(RbdImage& image, const RbdPool& pool, const RbdLocation& location,
                   const RbdStamp& stamp) {
  open_again(image, pool, location);
  RbdStamp now = ask(pool, image.get(), location);
  if (now.id != stamp.id) throw changed(location, "another volume took its name meanwhile");
  if (now.snapshot_id != stamp.snapshot_id) {
    throw changed(location, "the snapshot was removed and made again meanwhile");
  }
  if (now.size < stamp.size) {
    throw changed(location, fmt::format("it has {} now, it was longer a moment ago ({})",
                                        exact_bytes(now.size), exact_bytes(stamp.size)));
  }
  return now;
}

}  // namespace

RbdStamp take_rbd_stamp(const RbdPool& pool, rbd_image_t image, const RbdLocation& location) {
  RbdStamp stamp = ask(pool, image, location);
  if (stamp.snapshot_id) return stamp;
  while (is_too_young(image, location, stamp)) std::this_thread::sleep_for(50ms);
  return stamp;
}

void check_rbd_still_there(const RbdPool& pool, const RbdLocation& location,
                           const RbdStamp& stamp) {
  RbdImage image;
  ask_again(image, pool, location, stamp);
}

void check_rbd_unchanged(const RbdPool& pool, const RbdLocation& location, const RbdStamp& stamp) {
  RbdImage image;
  const RbdStamp now = ask_again(image, pool, location, stamp);
  if (stamp.snapshot_id) return;
  check_nobody_wrote(location, stamp, now, count_writers(image.get(), location));
}

size_t count_writers(rbd_image_t image, const RbdLocation& location) {
  size_t count = 16;
  std::vector<rbd_image_watcher_t> list(count);
  const int rc = rbd_watchers_list(image, list.data(), &count);
  if (rc == -ERANGE) return count;
  if (rc < 0) throw rbd_error(rc, location, "ask who has it open");
  rbd_watchers_list_cleanup(list.data(), count);
  return count;
}

}  // namespace vmferry
