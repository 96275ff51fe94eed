// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "lib/core/blocking_call.h"
#include "vmferry/target.h"

// Volumes come and go. Any thread may call these.

namespace vmferry {

/// The name of a volume that is not complete yet.
RbdLocation partial_of(const RbdLocation& volume);
/// Has it such a name? All of it is a run's own then.
bool is_unfinished(const RbdLocation& volume);
/// The name of a volume while another one takes its place.
RbdLocation old_of(const RbdLocation& volume);

/// Creates the volume `name` of exactly `size` bytes. Throws Error about `location`: kUsage where
/// the layout makes no sense, kConflict where the name is taken.
void create_rbd_image(rados_ioctx_t io, const std::string& name, uint64_t size,
                      const RbdLayout& layout, const RbdLocation& location);

/// The same, as a clone (of format 2) of a snapshot of `size` bytes in `base_io`, which it has
/// then, and where `layout` does not say, its layout. What the snapshot's image has as metadata the
/// clone gets, too.
void clone_rbd_image(rados_ioctx_t base_io, const RbdLocation& base, uint64_t size,
                     rados_ioctx_t io, const std::string& name, const RbdLayout& layout,
                     const RbdLocation& location);

/// Has an image with the bits `found` the features that `layout` asks for? Throws kUsage about
/// `location` where it asks for one that is not known.
bool has_features(uint64_t found, const RbdLayout& layout, const RbdLocation& location);

struct RbdRemoval {
  /// How long to try again while somebody watches it (a client that died does so for some 30 s) or
  /// the pool is full.
  std::chrono::seconds patience;
  std::stop_token stop;  ///< ends the trying again
  Pulse& pulse;          ///< beats as it goes on
  /// Those of a copy (SnapshotRemoval), and of what has the name of an unfinished one all.
  bool with_snapshots = false;
};

/// Is there anything of that name: a volume, or what a client that was killed while it made or
/// removed one has left? Throws Error about `location`.
bool exists_in_part(rados_ioctx_t io, const RbdLocation& location, const std::string& name);

/// Removes all of that; nothing there is no failure. 0, or the last negative code of rbd_remove.
/// Throws Error about `location` when the cluster cannot be asked.
int remove_rbd_image(rados_ioctx_t io, const RbdLocation& location, const std::string& name,
                     const RbdRemoval& how);

}  // namespace vmferry
