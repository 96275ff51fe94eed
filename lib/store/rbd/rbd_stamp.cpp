// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_stamp.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/utc_time.h"

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
  if (rc < 0) {
    throw rbd_error(rc, location, kChecking);
  }
}

bool same(const timespec& a, const timespec& b) {
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

/// A writer locks the object map, too, and a reader leaves it alone (librbd::object_map).
void ask_object_map(const RbdPool& pool, const RbdLocation& location, uint64_t features,
                    RbdStamp& stamp) {
  if ((features & RBD_FEATURE_OBJECT_MAP) == 0) {
    return;
  }
  const std::string map = "rbd_object_map." + stamp.id;
  uint64_t size = 0;
  time_t time = 0;
  check(rados_stat(pool.io(), map.c_str(), &size, &time), location);
  stamp.map_version = rados_get_last_version(pool.io());
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
  uint64_t features = 0;
  check(rbd_get_features(image, &features), location);
  stamp.lockable = (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0;
  ask_header(pool, location, stamp);
  ask_object_map(pool, location, features, stamp);
  return stamp;
}

/// A writer takes the lock of a volume that has one, which the version tells. Else there is only a
/// time, in whole seconds: within the second of the last change a client may come and go unseen.
bool is_too_young(const RbdStamp& stamp) {
  return !stamp.lockable && std::time(nullptr) == stamp.header_time;
}

// What was seen to be added to the version of the header and of the object map (Ceph 16) by one who
// reads: 4, 0; writes: 6 to 8, 2 or 3; resizes: 5 to 7, 3; resizes and then writes: 11, 5. A
// version counts what is written to the whole placement group (PrimaryLogPG: user_version), so more
// is seen where others write to that group, or where header and map share one: that passes for
// writing, which is the safe side.
constexpr uint64_t kHeaderOfReader = 5;
constexpr uint64_t kHeaderOfResizing = 8;
constexpr uint64_t kMapOfResizing = 3;

/// A reader that is not us may have noted that it read, and nothing else: that is as old as the
/// header then.
bool was_only_read(const RbdStamp& before, const RbdStamp& now) {
  if (same(before.accessed, now.accessed)) {
    return false;
  }
  if (std::abs(now.header_time - now.accessed.tv_sec) > 1) {
    return false;
  }
  if (before.map_version != 0) {
    return now.map_version == before.map_version;
  }
  return before.lockable && now.header_version - before.header_version <= kHeaderOfReader;
}

bool only_grew(const RbdStamp& before, const RbdStamp& now) {
  if (now.size <= before.size) {
    return false;
  }
  if (before.map_version != 0) {
    return now.map_version - before.map_version <= kMapOfResizing;
  }
  return !before.lockable || now.header_version - before.header_version <= kHeaderOfResizing;
}

void check_nobody_wrote(const RbdLocation& location, const RbdStamp& before, const RbdStamp& now,
                        size_t writers) {
  if (writers > 0) {
    throw changed(location, "a client opened it for writing meanwhile");
  }
  if (!same(now.modified, before.modified)) {
    throw changed(location, "something wrote to it meanwhile");
  }
  const bool same_header =
      now.header_time == before.header_time && now.header_version == before.header_version;
  if (same_header || only_grew(before, now) || was_only_read(before, now)) {
    return;
  }
  throw changed(location, "a client had it open for writing meanwhile, or changed what it is");
}

void open_again(RbdImage& image, const RbdPool& pool, const RbdLocation& location) {
  int rc = image.open(pool.io(), location.image, "", true);
  if (rc == -ENOENT) {
    throw changed(location, "the volume was removed or renamed meanwhile");
  }
  check(rc, location);
  if (location.snapshot.empty()) {
    return;
  }
  rc = rbd_snap_set(image.get(), location.snapshot.c_str());
  if (rc == -ENOENT) {
    throw changed(location, "the snapshot was removed or renamed meanwhile");
  }
  check(rc, location);
}

/// Opens `image`, which has to be what the stamp was taken of, and no shorter.
RbdStamp ask_again(RbdImage& image, const RbdPool& pool, const RbdLocation& location,
                   const RbdStamp& stamp) {
  open_again(image, pool, location);
  RbdStamp now = ask(pool, image.get(), location);
  if (now.id != stamp.id) {
    throw changed(location, "another volume took its name meanwhile");
  }
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
  if (stamp.snapshot_id) {
    return stamp;
  }
  while (is_too_young(stamp)) {
    std::this_thread::sleep_for(50ms);
  }
  return stamp;
}

std::string text_of(const RbdStamp& stamp) {
  if (stamp.snapshot_id) {
    return fmt::format("snapshot {}, {} bytes", *stamp.snapshot_id, stamp.size);
  }
  return fmt::format("{} bytes, modified {}, header written {} times, last at {}", stamp.size,
                     utc_time(stamp.modified), stamp.header_version,
                     utc_time({.tv_sec = stamp.header_time, .tv_nsec = 0}));
}

void check_rbd_still_there(const RbdPool& pool, const RbdLocation& location,
                           const RbdStamp& stamp) {
  RbdImage image;
  ask_again(image, pool, location, stamp);
}

void check_rbd_unchanged(const RbdPool& pool, const RbdLocation& location, const RbdStamp& stamp) {
  RbdImage image;
  const RbdStamp now = ask_again(image, pool, location, stamp);
  if (stamp.snapshot_id) {
    return;
  }
  check_nobody_wrote(location, stamp, now, count_writers(image.get(), location));
}

size_t count_writers(rbd_image_t image, const RbdLocation& location) {
  size_t count = 16;
  std::vector<rbd_image_watcher_t> list(count);
  const int rc = rbd_watchers_list(image, list.data(), &count);
  if (rc == -ERANGE) {
    return count;
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "ask who has it open");
  }
  rbd_watchers_list_cleanup(list.data(), count);
  return count;
}

}  // namespace vmferry
