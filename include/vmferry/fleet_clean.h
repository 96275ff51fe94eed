// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/fleet_report.h"
#include "vmferry/host.h"
#include "vmferry/migration_storage.h"

// Removing the old disks of guests that moved, one by one, on the host that has them. Nothing is
// believed of what was asked before: each removal asks libvirt again.

namespace VMFERRY_API vmferry {

/// What is left of a disk that moved.
struct FleetOldDisk {
  unsigned number = 0;  ///< of the job: FleetJobStatus::number
  FleetJob job;
  FleetMovedDisk disk;  ///< FleetMovedDisk::state is kLeft
  int64_t moved = 0;    ///< when the move ended, seconds since 1970
};

/// All that is left, on all hosts, in the order of the plan.
std::vector<FleetOldDisk> old_disks(const FleetReport& report);

/// Where and how old disks are judged.
struct FleetCleaning {
  std::shared_ptr<Host> host;           ///< of this machine, which is FleetJob::host
  MigrationStorage* storage = nullptr;  ///< its files
  std::chrono::seconds older_than{0};   ///< since the move ended
  /// With the records of this host's moves (MigrateContext::state_dir). What only the cluster says
  /// removes nothing: others may write to it.
  std::string state_dir;
  /// For hosts that guests moved to.
  std::function<std::shared_ptr<Host>(const std::string& uri)> connect = connect_host;
  std::function<int64_t()> now = [] { return int64_t{std::time(nullptr)}; };
};

enum class OldDiskFate {
  kMayGo,
  kGone,      ///< it is not there any more
  kTooEarly,  ///< its guest moved later than FleetCleaning::older_than ago
  kStays,     ///< something is against it, or cannot be asked
};
struct OldDiskVerdict {
  OldDiskFate fate = OldDiskFate::kStays;
  std::string why;  ///< of the last two
};

/// May it be removed? Only a regular file of this host alone, which is as it was at the end of the
/// move. The guest, found by its UUID where it moved to, has to run now, and both of its
/// definitions have to name the volume for this disk. No definition of this host may name the file,
/// nor an image that is based on it. libvirt does not tell for how long a guest has run: the end of
/// its move counts. Throws nothing that is about this disk: what cannot be asked is a reason.
OldDiskVerdict judge_old_disk(const FleetOldDisk& old, const FleetCleaning& cleaning);

/// Judges again, removes the file unless any process has it open, and notes that in the fleet.
/// Throws Error: kConflict, and nothing is removed, where the verdict is another than kMayGo.
void remove_old_disk(const FleetPlace& place, const FleetOldDisk& old,
                     const FleetCleaning& cleaning);
/// Notes that somebody else removed it.
void note_gone_disk(const FleetPlace& place, const FleetOldDisk& old, int64_t now);

}  // namespace VMFERRY_API vmferry
