// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

/// What a volume or snapshot was like when it was opened, to find out whether it still is. A plain
/// value.
struct RbdStamp {
  std::string id;  ///< a volume that takes the name later has another
  std::optional<uint64_t> snapshot_id;
  uint64_t size = 0;       ///< bytes
  timespec modified = {};  ///< librbd notes a write when the last note is a minute old
  timespec accessed = {};  ///< and a read in the same way, with a write to the header
  time_t header_time = 0;  ///< when the header was last written to, or watched or unwatched
  uint64_t header_version =
      0;                     ///< grows with what is written to the header; a watch does not count
  bool lockable = false;     ///< has the feature exclusive-lock: each writer writes to the header
  uint64_t map_version = 0;  ///< the same of its object map; 0: it has none
};

/// Takes the stamp of an open volume. Where only the time of the header tells a later change from
/// the last one, waits until it can (one second at most). Throws Error. Not two threads at once for
/// one pool: the version of an object is told for the last one asked for.
RbdStamp take_rbd_stamp(const RbdPool& pool, rbd_image_t image, const RbdLocation& location);

/// The stamp as words, for another process: see Source::stamp().
std::string text_of(const RbdStamp& stamp);

/// Asks the cluster anew, by name. Throws Error (kConflict) unless the name still leads to that
/// volume and snapshot, whole. Same thread rule.
void check_rbd_still_there(const RbdPool& pool, const RbdLocation& location, const RbdStamp& stamp);

/// The same, and unless it is a snapshot, nobody has had it open for writing since the stamp. Two
/// things pass: that others read it, where the volume has an exclusive lock; and that it grew,
/// where no more was written to header and object map than one resizing does. A volume without an
/// exclusive lock that grew may have been written as well: only its timestamp tells. Same thread
/// rule.
void check_rbd_unchanged(const RbdPool& pool, const RbdLocation& location, const RbdStamp& stamp);

/// How many clients have the volume open for writing. Throws Error if the cluster does not tell.
size_t count_writers(rbd_image_t image, const RbdLocation& location);

}  // namespace vmferry
