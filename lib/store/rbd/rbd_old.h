// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_stamp.h"

namespace vmferry {

/// The volume that a copy replaces (--force). It is not locked meanwhile: under RBD's exclusive
/// lock a guest that starts is let in, and then gets an I/O error for its first write. So all that
/// was asked before the first byte is asked again when its turn comes: first under its name, and
/// once more when it has lost that name and nobody can open it any longer. Immutable; any thread.
/// Everything throws Error: kConflict where it may not be replaced or could not be removed
/// afterwards (clients, locks, snapshots, clones, groups, mirrors, migrations).
class RbdOldVolume {
 public:
  /// `image` is the volume of that location, open. `pool` must outlive this.
  RbdOldVolume(const RbdPool& pool, const RbdLocation& location, const RbdImage& image);

  const std::string& id() const { return stamp_.id; }
  /// The name leads to the same volume still, and nobody has had it open for writing since.
  void check_unchanged() const;
  /// It is called `name` by now. Nobody has it open or holds on to it otherwise.
  void check_let_go(const std::string& name) const;

 private:
  const RbdPool& pool_;
  const RbdLocation location_;
  const RbdStamp stamp_;
};

}  // namespace vmferry
