// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "lib/fleet/plan_table.h"
#include "vmferry/fleet.h"

// What a plan says of a guest that depends on its way.

namespace vmferry::fleet {

inline constexpr int64_t kMostWaves = 1'000'000;

/// Reads the keys of [[guest]] that only some ways have. REQUIRES: `job` has its way and wave.
void read_ways(PlanTable& keys, FleetJob& job);
/// What its way does not go with. REQUIRES: all of the job is read.
void check_ways(PlanTable& keys, const FleetJob& job);

}  // namespace vmferry::fleet
