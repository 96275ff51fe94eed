// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lib/store/copied_snapshot.h"
#include "vmferry/history.h"

// Snapshots that go along in a warm move follow those of the old volume.

namespace vmferry::migrate {

/// The snapshots of a volume that is brought up to date. Every method throws Error; one thread.
class FollowingVolume {
 public:
  virtual ~FollowingVolume() = default;
  /// The user's, oldest first.
  virtual std::vector<CopiedSnapshot> snapshots() = 0;
  /// Answers why it stays; empty: it is gone.
  virtual std::string remove(const CopiedSnapshot& snapshot) = 0;
  /// Throws kConflict: there is one of that name.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  virtual void tell(const std::string& text) = 0;
};

/// `states` are those that the old volume has kept; the first `known` were there at the last sync.
/// What stands for one of these in the new volume gets its name; what stands for none goes, or
/// stays if it has to. Then the names of the others are free. What a person made is renamed at
/// most. Whatever is done is told. A run that died in it is ended by the next one. Throws Error.
/// REQUIRES: known <= states.size().
void follow_snapshots(const std::vector<Point>& states, size_t known, FollowingVolume& volume);

}  // namespace vmferry::migrate
