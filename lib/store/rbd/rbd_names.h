// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <string>
#include <vector>

#include "vmferry/location.h"

// Names of volumes, as Ceph itself keeps them: librbd tells of a name only whether it could open
// it. Any thread may call these; all throw Error about `location` when the cluster cannot be asked.

namespace vmferry {

/// To which image (its id) a name leads. Ceph keeps that twice: in an object "rbd_id.NAME", which
/// is what opening reads, and in the pool's directory, which is what listing, creating and removing
/// read (cls_rbd, librbd::image::CreateRequest, operation::RenameRequest, trash::MoveRequest). A
/// client that was killed inside one of librbd's calls leaves the two different.
struct RbdName {
  std::string by_object;     ///< empty: there is none
  std::string by_directory;  ///< empty: there is none

  bool is_free() const { return by_object.empty() && by_directory.empty(); }
  bool is_whole() const { return !is_free() && by_object == by_directory; }
  bool leads_to(const std::string& id) const { return by_object == id && by_directory == id; }
};

RbdName look_up_name(rados_ioctx_t io, const RbdLocation& location, const std::string& name);

/// Ids of what librbd was removing under this name when it was stopped. It goes by way of the
/// trash: 'rbd ls' still shows it, 'rbd trash ls' does not, and rbd_remove of the name ends it.
std::vector<std::string> ids_being_removed(rados_ioctx_t io, const RbdLocation& location,
                                           const std::string& name);

/// True: nothing is known under any of `names`, of whatever format, and nothing of them was being
/// removed. False: there may be. Asks all at once.
bool are_unused(rados_ioctx_t io, const RbdLocation& location,
                const std::vector<std::string>& names);

/// Ends what a rename from one of `names` to another one of them has begun and a kill has stopped:
/// where two of them lead to one image, the one that the directory knows stays. Other names are
/// left alone: somebody may be at work there. REQUIRES: nobody else renames these (a claim).
void settle_names(rados_ioctx_t io, const RbdLocation& location,
                  const std::vector<std::string>& names);

}  // namespace vmferry
