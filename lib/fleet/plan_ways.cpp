// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/plan_ways.h"

#include <fmt/format.h>

#include "lib/core/printable.h"

namespace vmferry::fleet {
namespace {

bool offline_flag(PlanTable& keys, const char* key, MigrateMode way) {
  const bool value = keys.flag(key).value_or(false);
  if (value && way != MigrateMode::kOffline) {
    keys.problem(key, fmt::format("'{}' needs way = \"offline\"", key));
  }
  return value;
}

unsigned cutover_wave(PlanTable& keys, const FleetJob& job) {
  const std::optional<int64_t> wave = keys.number("cutover_wave", 1, kMostWaves);
  if (!wave) {
    return 0;
  }
  if (!job.warm) {
    keys.problem("cutover_wave", "'cutover_wave' needs way = \"warm\"");
  } else if (*wave < job.wave) {
    keys.problem("cutover_wave",
                 fmt::format("'cutover_wave' is {}, and the guest is synchronised in wave {}",
                             *wave, job.wave));
  }
  return static_cast<unsigned>(*wave);
}

}  // namespace

void read_ways(PlanTable& keys, FleetJob& job) {
  job.cutover_wave = cutover_wave(keys, job);
  job.rewrite_only = offline_flag(keys, "rewrite_only", job.way);
  job.shut_down = offline_flag(keys, "shut_down", job.way);
  job.snapshots = offline_flag(keys, "snapshots", job.way);
  if (job.snapshots && job.rewrite_only) {
    keys.problem("snapshots", "'snapshots' is for a copy, which 'rewrite_only' does not make");
  }
}

void check_ways(PlanTable& keys, const FleetJob& job) {
  for (const FleetDisk& disk : job.disks) {
    const char* const key = job.snapshots ? "snapshots" : job.warm ? "way" : nullptr;
    if (key != nullptr && !disk.base.empty()) {
      keys.problem(key, fmt::format("{} does not go with the 'base' of {}",
                                    job.warm ? "a warm move" : "'snapshots'", printable(disk.dev)));
    }
  }
}

}  // namespace vmferry::fleet
