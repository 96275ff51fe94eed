// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "lib/core/zeros.h"
#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_claim.h"
#include "lib/store/rbd/rbd_clones.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_diff.h"
#include "lib/store/rbd/rbd_image.h"
#include "lib/store/rbd/rbd_names.h"
#include "lib/store/rbd/rbd_stamp.h"

namespace vmferry {
namespace {

/// A client that died counts for some 30 s.
constexpr std::chrono::seconds kPatience{60};
/// A question about a range costs as much as one about so many objects.
constexpr uint64_t kObjectsWorthAsking = 16;

/// Runs of whole objects that exist, with short gaps filled. Without an object map each object of
/// the volume is asked for.
std::vector<Extent> object_runs(const RbdView& view, const rbd_image_info_t& info,
                                const RbdLocation& volume) {
  std::vector<Extent> objects;
  const int rc = visit_rbd_data(view, {0, info.size}, RbdDiff::kObjects,
                                [&](const Extent& extent) { append_run(objects, extent); });
  if (rc < 0) {
    throw rbd_error(rc, volume, "ask for its objects");
  }
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

std::string who_has_it_open(const RbdPool& pool, const RbdLocation& volume) {
  RbdImage image;
  if (image.open(pool.io(), volume.image, "", true) == 0) {
    try {
      return fmt::format("{} client(s) have it open", count_writers(image.get(), volume));
    } catch (const Error&) {
      // Busy it is all the same.
    }
  }
  return "a client has it open";
}

Error in_use(const RbdPool& pool, const RbdLocation& volume) {
  const std::string name = volume.ceph_name();
  return Error({.kind = ErrorKind::kConflict,
                .object = volume.display(),
                .action = "remove",
                .cause = who_has_it_open(pool, volume),
                .hint = "'rbd status " + name + "' shows who; 'rbd rm " + name +
                        "' removes it when they are gone; if none is there any more, restart "
                        "the OSD of its header: a client that died while opening it may count "
                        "forever (https://tracker.ceph.com/issues/58120)"});
}

/// Those in the trash, which clones need, no 'rbd snap purge' removes.
Error has_snapshots(const RbdPool& pool, const RbdLocation& volume) {
  std::vector<RbdClone> clones;
  RbdImage image;
  if (image.open(pool.io(), volume.image, "", true) == 0) {
    try {
      clones = rbd_clones(image.get(), volume);
    } catch (const Error&) {
      // It has snapshots all the same.
    }
  }
  return Error({.kind = ErrorKind::kConflict,
                .object = volume.display(),
                .action = "remove",
                .cause = clones.empty() ? "it has snapshots"
                                        : clones.front().name + " needs its data, as a clone",
                .hint = clones.empty()
                            ? "remove them first ('rbd snap purge " + volume.ceph_name() + "')"
                            : "remove that one first, or " + clones.front().remedy});
}

void remove_one(const RbdPool& pool, const RbdLocation& volume, SnapshotRemoval snapshots,
                std::stop_token stop) {
  Pulse pulse;
  const int rc = remove_rbd_image(
      pool.io(), volume, volume.image,
      {.patience = kPatience,
       .stop = stop,
       .pulse = pulse,
       .with_snapshots = snapshots == SnapshotRemoval::kOfCopy || is_unfinished(volume)});
  if (rc == 0) {
    return;
  }
  if (stop.stop_requested()) {
    throw cancelled_error();
  }
  if (rc == -EBUSY) {
    throw in_use(pool, volume);
  }
  if (rc == -ENOTEMPTY) {
    throw has_snapshots(pool, volume);
  }
  throw rbd_error(rc, volume, "remove");
}

bool is_any_there(const RbdPool& pool, const RbdLocation& volume,
                  const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return exists_in_part(pool.io(), volume, name);
  });
}

/// Removes `names` under a claim, so that no run at work loses what it writes. A volume that a
/// killed run has renamed half-way has its old name still: that name goes, and the volume stays.
void remove_claimed(const RbdLocation& volume, const CephOptions& options,
                    SnapshotRemoval snapshots, std::stop_token stop,
                    const std::vector<std::string>& names) {
  const RbdPool pool(volume, options, CephSharing::kOwn);
  std::optional<RbdClaim> claim;
  try {
    claim.emplace(pool, volume, RbdClaimWait{.patience = kPatience, .stop = stop});
  } catch (const Error&) {
    if (is_any_there(pool, volume, names)) {
      throw;
    }
    return;  // a pool that is full takes no claim; and there is nothing to remove
  }
  settle_names(pool.io(), volume, {volume.image, partial_of(volume).image});
  for (const std::string& name : names) {
    remove_one(pool, volume.beside(name), snapshots, stop);
  }
}

}  // namespace

std::shared_ptr<const void> hold_ceph_connection(const RbdLocation& volume,
                                                 const CephOptions& options) {
  return connect_to_ceph(volume, options, CephSharing::kShared);
}

std::optional<RbdVolumeState> rbd_volume_state(const RbdLocation& volume,
                                               const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  RbdImage image;
  int rc = image.open(pool.io(), volume.image, volume.snapshot, true);
  if (rc == -ENOENT) {
    return std::nullopt;
  }
  if (rc < 0) {
    throw rbd_error(rc, volume, "open");
  }
  rbd_image_info_t info;
  rc = rbd_stat(image.get(), &info, sizeof info);
  if (rc < 0) {
    throw rbd_error(rc, volume, "stat");
  }
  const RbdView view = {pool.io(), image.get(), volume.snapshot};
  RbdVolumeState state = {.size = info.size};
  for (const Extent& run : object_runs(view, info, volume)) {
    rc = visit_rbd_data(view, run, RbdDiff::kExactly,
                        [&state](const Extent& extent) { state.used += extent.length; });
    if (rc < 0) {
      throw rbd_error(rc, volume, "ask for its objects", run.offset);
    }
  }
  return state;
}

std::vector<std::string> rbd_volume_names(const std::string& pool, const CephOptions& options) {
  const RbdLocation location = {.pool = pool};
  const RbdPool opened(location, options, CephSharing::kShared);
  std::vector<rbd_image_spec_t> list;
  size_t count = 1000;
  int rc = -ERANGE;
  while (rc == -ERANGE) {
    list.resize(count);
    rc = rbd_list2(opened.io(), list.data(), &count);
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "list its volumes");
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) {
    const RbdLocation volume = location.beside(list[i].name);
    if (!is_unfinished(volume) && !volume.image.ends_with(old_of(location).image)) {
      names.push_back(volume.image);
    }
  }
  rbd_image_spec_list_cleanup(list.data(), count);
  std::sort(names.begin(), names.end());
  return names;
}

size_t rbd_volume_writers(const RbdLocation& volume, const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  RbdImage image;
  const int rc = image.open(pool.io(), volume.image, "", true);
  if (rc < 0) {
    throw rbd_error(rc, volume, "open");
  }
  return count_writers(image.get(), volume);
}

std::optional<Identity> rbd_volume_identity(const RbdLocation& volume, const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  RbdImage image;
  const int rc = image.open(pool.io(), volume.image, "", true);
  if (rc == -ENOENT) {
    return std::nullopt;
  }
  if (rc < 0) {
    throw rbd_error(rc, volume, "open");
  }
  return pool.identity_of(image.get(), volume);
}

void remove_rbd_volume(const RbdLocation& volume, const CephOptions& options,
                       SnapshotRemoval snapshots, std::stop_token stop) {
  remove_claimed(volume, options, snapshots, stop, {volume.image, partial_of(volume).image});
}

void remove_rbd_left_over(const RbdLocation& volume, const CephOptions& options,
                          std::stop_token stop) {
  remove_claimed(volume, options, SnapshotRemoval::kOfCopy, stop, {partial_of(volume).image});
}

}  // namespace vmferry
