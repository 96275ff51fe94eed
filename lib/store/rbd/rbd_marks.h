// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "lib/core/blocking_call.h"
#include "vmferry/history.h"
#include "vmferry/image_facts.h"
#include "vmferry/location.h"

// Snapshots of a volume that stand for states of the disk that it is a copy of.

namespace vmferry {

/// Makes one of the volume as it is now and writes down in metadata what it was before. Answers
/// with its name. Throws Error about `location`.
std::string mark_rbd_state(rbd_image_t image, const RbdLocation& location, const Point& point);

/// What was written down of a snapshot.
struct RbdMarkRecord {
  std::string name;                ///< that the state had
  std::optional<int64_t> seconds;  ///< when it was taken: Point::seconds
  std::string state_id = {};       ///< Point::id
  /// The number of the snapshot. Empty: who made it died before that was written down. Nothing: it
  /// was made by a version that did not.
  std::optional<std::string> snapshot_id = {};
};
/// Nothing: nothing was.
std::optional<RbdMarkRecord> mark_record(rbd_image_t image, const std::string& name);

/// Is it what was written down of this snapshot, as far as that can be told? Not of one that
/// somebody made later under its name.
bool may_be_copied(const std::optional<RbdMarkRecord>& record, const SnapshotFacts& snapshot);

/// Was the snapshot made of that state?
bool is_mark_of(rbd_image_t image, const SnapshotFacts& snapshot, const Point& point);
/// Completes what is written down of one that was. Without it the snapshot stays as good.
void end_mark(rbd_image_t image, const SnapshotFacts& snapshot, const Point& point);

/// What was written down goes along. A negative code of librbd.
int rename_mark(rbd_image_t image, const std::string& from, const std::string& to);

enum class RbdMarks {
  kAll,
  kRecorded,  ///< of which it was written down that they are states of a copy
};
/// Removes snapshots of the user. Throws Error about `location`.
void remove_rbd_snapshots(rbd_image_t image, const RbdLocation& location, RbdMarks which,
                          Pulse& pulse);

}  // namespace vmferry
