// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/fleet/values.h"
#include "lib/store/rbd/shared_object.h"

// The limits of how many jobs run at once, as slots: each is a key that one job has while it runs.
// So no limit is ever exceeded, and claims conflict only where two want the same slot. Any thread.

namespace vmferry::fleet {

/// Slots that no job has, for one of `host` that goes to `target_host` (empty: it stays): those of
/// `before` if they are free, else any, as `random` says. So those who choose at the same time
/// mostly choose others. Nothing: a limit is reached.
std::optional<JobSlots> free_slots(const std::vector<RunningJob>& running,
                                   const FleetLimits& limits, const std::string& host,
                                   const std::string& target_host, const JobSlots& before,
                                   unsigned random);

/// Takes the slots of a job that begins, unless another has one of them.
void take_slots(ObjectChange& change, const RunningJob& job);
/// Gives those of a job back that ran.
void give_back_slots(ObjectChange& change, const FleetJobStatus& job, const JobSlots& slots);

}  // namespace vmferry::fleet
