// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/fleet.h"
#include "vmferry/fleet_state.h"
#include "vmferry/migration_storage.h"

// What became of each guest of a fleet, as the records of its moves tell. Plain values.

namespace VMFERRY_API vmferry {

/// What is known of the place where a disk was before.
enum class OldDiskState {
  kNothing,  ///< the record of the move names nothing that is left
  kLeft,     ///< it was left, and nobody noted that it went
  kRemoved,  ///< by remove_old_disk()
  kGone,     ///< somebody else had removed it, as was seen later
};
/// "nothing", "left", "removed" or "gone".
std::string word_of(OldDiskState state);

/// A disk of a guest that moved.
struct FleetMovedDisk {
  std::string dev;
  std::string from;    ///< as its definition named it
  std::string to;      ///< its volume
  std::string digest;  ///< of what was copied (DiskDigest::text); empty: not known
  Usage before;
  Usage after;
  std::optional<OldFile> old;  ///< nothing: it was no file, or the record does not say which
  OldDiskState state = OldDiskState::kNothing;
  int64_t when = 0;  ///< of kRemoved and kGone, seconds since 1970
};

/// What the record of a job tells.
struct FleetMove {
  std::vector<FleetMovedDisk> disks;
  std::vector<std::string> kept;        ///< what else is left, as the run named it
  double seconds = 0;                   ///< 0: not known
  std::optional<uint64_t> downtime_ms;  ///< MigrateReport::downtime_ms
};

struct FleetReport {
  FleetStatus status;
  FleetPlan plan;
  std::vector<FleetMove> moves;  ///< of each job, in the order of the plan; empty if it is not done
};

/// Throws Error: as the functions of fleet_state.h.
FleetReport fleet_report(const FleetPlace& place);

}  // namespace VMFERRY_API vmferry
