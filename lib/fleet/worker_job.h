// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "lib/fleet/worker.h"

namespace vmferry::fleet {

/// How often a worker looks around, unless somebody wakes it.
inline constexpr std::chrono::seconds kLookEvery{5};

/// A job that runs in this process.
struct Worker::Mine {
  JobEntry job;
  std::unique_ptr<JobRun> run;
  std::chrono::steady_clock::time_point put_at{};  ///< when progress is written next
  std::chrono::steady_clock::time_point rate_from{};
  JobNews told;               ///< what was written last
  bool cancelled = false;     ///< it was asked to undo
  unsigned cutover_wave = 0;  ///< FleetJob::cutover_wave
  bool is_lost = false;       ///< another's by now, perhaps
  bool is_over = false;
};

}  // namespace vmferry::fleet
