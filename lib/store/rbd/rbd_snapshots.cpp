// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cerrno>
#include <string>
#include <vector>

#include "lib/core/printable.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_marks.h"

// Snapshots of a volume, one by one.

namespace vmferry {
namespace {

constexpr const char* kInUse = "a clone of it, or a client, uses it";

void check_snapshot(int rc, const RbdLocation& snapshot, const std::string& action) {
  if (rc < 0) {
    throw rbd_error(rc, snapshot, action);
  }
}

/// The volume of that snapshot, to do that with it.
void open_to(const std::string& action, RbdImage& image, const RbdPool& pool,
             const RbdLocation& snapshot) {
  const int rc = image.open(pool.io(), snapshot.image, "", false);
  if (rc >= 0) {
    return;
  }
  ErrorParts parts = rbd_error(rc, snapshot, action).parts();
  if (rc == -EPERM || rc == -EACCES) {
    parts.hint = "this Ceph user needs 'profile rbd pool=" + printable(snapshot.pool) +
                 "' beside what it has: 'ceph auth get' shows that, and 'ceph auth caps' replaces "
                 "all of it";
  }
  throw Error(parts);
}

/// Why it cannot be removed; empty: it can. Of clones that need no protection Ceph would hide it
/// instead.
std::string needed_for(const RbdPool& pool, const RbdLocation& snapshot,
                       const SnapshotFacts& found) {
  if (found.is_protected) {
    return "somebody has protected it";
  }
  RbdImage look;
  int rc = look.open(pool.io(), snapshot.image, snapshot.snapshot, true);
  size_t clones = 0;
  if (rc >= 0) {
    rc = rbd_list_children3(look.get(), nullptr, &clones);
  }
  if (rc < 0 && rc != -ERANGE && rc != -ENOENT) {
    return rbd_error(rc, snapshot, "ask for its clones").what();
  }
  return rc == -ERANGE || clones > 0 ? kInUse : "";
}

}  // namespace

void create_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options) {
  const RbdPool pool(snapshot, options, CephSharing::kOwn);
  RbdImage image;
  open_to("make it", image, pool, snapshot);
  const int rc = rbd_snap_create(image.get(), snapshot.snapshot.c_str());
  if (rc < 0) {
    throw rbd_error(rc, snapshot, "make it");
  }
}

void remove_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options) {
  const RbdPool pool(snapshot, options, CephSharing::kOwn);
  RbdImage image;
  open_to("remove it", image, pool, snapshot);
  const int rc = rbd_snap_remove(image.get(), snapshot.snapshot.c_str());
  if (rc < 0 && rc != -ENOENT) {
    throw rbd_error(rc, snapshot, "remove the snapshot");
  }
}

std::vector<CopiedSnapshot> rbd_copied_snapshots(const RbdLocation& volume,
                                                 const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  RbdImage image;
  check_snapshot(image.open(pool.io(), volume.image, "", true), volume, "open");
  std::vector<CopiedSnapshot> all;
  for (const SnapshotFacts& snapshot : read_rbd_snapshots(image.get(), volume)) {
    CopiedSnapshot one = {.name = snapshot.name, .id = snapshot.id};
    const std::optional<RbdMarkRecord> record = mark_record(image.get(), snapshot.name);
    if (may_be_copied(record, snapshot)) {
      one.state_id = record->state_id;
      one.origin = !record->snapshot_id           ? CopiedSnapshot::Origin::kPerhapsCopy
                   : record->snapshot_id->empty() ? CopiedSnapshot::Origin::kBeingMade
                                                  : CopiedSnapshot::Origin::kCopy;
    }
    all.push_back(std::move(one));
  }
  return all;
}

std::string remove_rbd_copied_snapshot(const RbdLocation& snapshot, const std::string& id,
                                       const CephOptions& options) {
  const RbdPool pool(snapshot, options, CephSharing::kOwn);
  RbdImage image;
  open_to("remove it", image, pool, snapshot);
  for (const SnapshotFacts& found : read_rbd_snapshots(image.get(), snapshot)) {
    if (found.name != snapshot.snapshot) {
      continue;
    }
    if (found.id != id) {
      return "another one has its name now";
    }
    if (std::string why = needed_for(pool, snapshot, found); !why.empty()) {
      return why;
    }
    const int rc = rbd_snap_remove(image.get(), snapshot.snapshot.c_str());
    if (rc == -EBUSY) {
      return kInUse;
    }
    if (rc != -ENOENT) {
      check_snapshot(rc, snapshot, "remove the snapshot");
    }
  }
  return {};
}

void rename_rbd_snapshot(const RbdLocation& snapshot, const std::string& name,
                         const CephOptions& options) {
  const RbdPool pool(snapshot, options, CephSharing::kOwn);
  RbdImage image;
  open_to("rename it", image, pool, snapshot);
  const int rc = rename_mark(image.get(), snapshot.snapshot, name);
  if (rc == -EEXIST) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = snapshot.display(),
                 .action = "call it " + printable(name),
                 .cause = "the volume has a snapshot of that name"});
  }
  check_snapshot(rc, snapshot, "call it " + printable(name));
}

}  // namespace vmferry
