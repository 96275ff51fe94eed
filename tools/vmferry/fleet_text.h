// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "vmferry/fleet_state.h"

// The status of a fleet in the forms in which it is shown.

namespace vmferry::cli {

/// Sums over all jobs. Bytes are those of the plan.
struct FleetTotals {
  size_t jobs = 0;
  size_t pending = 0;
  size_t running = 0;
  size_t paused = 0;
  size_t done = 0;
  size_t failed = 0;
  size_t cancelled = 0;
  uint64_t data = 0;       ///< of all that are not cancelled
  uint64_t data_done = 0;  ///< with what runs, as far as it has come
  uint64_t rate = 0;       ///< bytes a second of all that runs
};
FleetTotals fleet_totals(const FleetStatus& status);

/// The state of a job, for people: one that only waits for its cutover is "synchronised".
std::string state_word(const FleetJobStatus& job);

/// Seconds until the phase of a job that runs is done; negative: not known.
double seconds_left(const FleetJobStatus& job);

/// A table for people. `active_only`: without jobs that are pending or done.
std::string fleet_text(const FleetStatus& status, bool active_only);
std::string fleet_json(const FleetStatus& status);
/// For node_exporter's textfile collector.
std::string fleet_prometheus(const FleetStatus& status);

}  // namespace vmferry::cli
