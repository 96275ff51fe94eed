// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "lib/fleet/ledger.h"
#include "vmferry/fleet_report.h"

// Records of moves, and what was noted of old disks since. Any thread, but for functions of a
// Ledger.

namespace vmferry::fleet {

/// The keys are this and a number: a job's. What a record names as left has it when that goes.
inline constexpr const char* kOldDisks = "old/";

/// What a record says; of one that was not written by vmferry, nothing.
FleetMove move_of(const std::string& record);

struct OldDiskNote {
  OldDiskState state = OldDiskState::kRemoved;  ///< kRemoved or kGone
  int64_t when = 0;
};
/// By target dev.
using OldDiskNotes = std::map<std::string, OldDiskNote>;
std::string text_of(const OldDiskNotes& notes);
/// Throws Error (kCorrupt), about `what`.
OldDiskNotes notes_of(const std::string& text, const std::string& what);

FleetReport report_of(Ledger& ledger, const FleetPlan& plan);
/// Notes that an old disk went. Throws kConflict if the job has another record by now.
void note_old_disk(Ledger& ledger, unsigned number, const std::string& dev,
                   const OldDiskNote& note);

}  // namespace vmferry::fleet
