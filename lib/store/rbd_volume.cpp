// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <vector>

#include "lib/core/zeros.h"
#include "lib/store/rbd_admin.h"
#include "lib/store/rbd_cluster.h"
#include "lib/store/rbd_diff.h"
#include "lib/store/rbd_image.h"

namespace vmferry {
namespace {

constexpr std::chrono::seconds kRemovePatience{60};
/// A question about a range costs as much as one about so many objects.
constexpr uint64_t kObjectsWorthAsking = 16;

/// Runs of whole objects that exist, with short gaps filled. Without an object map each object of
/// the volume is asked for.
std::vector<Extent> object_runs(const RbdView& view, const rbd_image_info_t& info,
                                const RbdLocation& volume) {
  std::vector<Extent> objects;
  const int rc = visit_rbd_data(view, {0, info.size}, RbdDiff::kObjects,
                                [&](const Extent& extent) { append_run(objects, extent); });
  if (rc < 0) throw rbd_error(rc, volume, "ask for its objects");
  std::vector<Extent> runs;
  for (const Extent& object : objects) {
    if (!runs.empty() && object.offset - runs.back().end() < kObjectsWorthAsking * info.obj_size) {
      runs.back().length = object.end() - runs.back().offset;
    } else {
      runs.push_back(object);
    }
  }
  return runs;
}

Error in_use(const RbdLocation& volume, const std::string& name, rados_ioctx_t io) {
  RbdImage image;
  const bool opened = image.open(io, name, "", true) == 0;
  const std::string full_name = volume.pool + "/" + name;
  return Error({.kind = ErrorKind::kConflict,
                .object = volume.display(),
                .action = "remove " + full_name,
                .cause = fmt::format("{} client(s) have it open", opened ? image.watchers() : 0),
                .hint = "'rbd status " + full_name + "' shows who; 'rbd rm " + full_name +
                        "' removes it when they are gone; if nobody is there any more, restart "
                        "the OSD of its header: a client that died while opening it may count "
                        "for ever (https://tracker.ceph.com/issues/58120)"});
}

void remove_one(const RbdPool& pool, const RbdLocation& volume, const std::string& name,
                std::stop_token stop) {
  const int rc = remove_rbd_image(pool.io(), name, kRemovePatience, stop);
  if (rc == 0) return;
  if (stop.stop_requested()) throw cancelled_error();
  if (rc == -EBUSY) throw in_use(volume, name, pool.io());
  if (rc == -ENOTEMPTY) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = volume.display(),
                 .action = "remove " + name,
                 .cause = "it has snapshots",
                 .hint = "remove them first ('rbd snap purge " + volume.pool + "/" + name + "')"});
  }
  throw rbd_error(rc, volume, "remove " + name);
}

}  // namespace

std::optional<RbdVolumeState> rbd_volume_state(const RbdLocation& volume,
                                               const CephOptions& options) {
  const RbdPool pool(volume, options);
  RbdImage image;
  int rc = image.open(pool.io(), volume.image, volume.snapshot, true);
  if (rc == -ENOENT) return std::nullopt;
  if (rc < 0) throw rbd_error(rc, volume, "open");
  rbd_image_info_t info;
  rc = rbd_stat(image.get(), &info, sizeof info);
  if (rc < 0) throw rbd_error(rc, volume, "stat");
  const RbdView view = {pool.io(), image.get(), volume.snapshot};
  RbdVolumeState state = {.size = info.size};
  for (const Extent& run : object_runs(view, info, volume)) {
    rc = visit_rbd_data(view, run, RbdDiff::kExactly,
                        [&state](const Extent& extent) { state.used += extent.length; });
    if (rc < 0) throw rbd_error(rc, volume, "ask for its objects", run.offset);
  }
  return state;
}

void create_rbd_volume(const RbdLocation& volume, uint64_t size, const RbdLayout& layout,
                       const CephOptions& options) {
  const RbdPool pool(volume, options);
  create_rbd_image(pool.io(), volume.image, size, layout, volume);
}

void remove_rbd_volume(const RbdLocation& volume, const CephOptions& options,
                       std::stop_token stop) {
  const RbdPool pool(volume, options);
  remove_one(pool, volume, volume.image, stop);
  remove_one(pool, volume, volume.image + kRbdPartialSuffix, stop);
}

void remove_rbd_left_over(const RbdLocation& volume, const CephOptions& options,
                          std::stop_token stop) {
  const RbdPool pool(volume, options);
  remove_one(pool, volume, volume.image + kRbdPartialSuffix, stop);
}

}  // namespace vmferry
