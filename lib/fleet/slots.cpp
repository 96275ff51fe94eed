// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/slots.h"

#include <set>

namespace vmferry::fleet {
namespace {

/// 0: there is none.
unsigned free_one(const std::set<unsigned>& taken, unsigned limit, unsigned before,
                  unsigned random) {
  if (taken.size() >= limit) {
    return 0;
  }
  if (before != 0 && before <= limit && !taken.contains(before)) {
    return before;
  }
  unsigned slot = 1 + random % (limit - static_cast<unsigned>(taken.size()));
  for (const unsigned other : taken) {  // in order: each that lies before it moves it on
    slot += other <= slot ? 1 : 0;
  }
  return slot <= limit ? slot : 0;
}

std::string host_slot(const std::string& host, unsigned slot) {
  return numbered((kHostSlots + host + "/").c_str(), slot);
}
std::string target_slot(const std::string& host, unsigned slot) {
  return numbered((kTargetSlots + host + "/").c_str(), slot);
}

}  // namespace

std::optional<JobSlots> free_slots(const std::vector<RunningJob>& running,
                                   const FleetLimits& limits, const std::string& host,
                                   const std::string& target_host, const JobSlots& before,
                                   unsigned random) {
  std::set<unsigned> of_fleet;
  std::set<unsigned> of_host;
  std::set<unsigned> of_target;
  for (const RunningJob& job : running) {
    of_fleet.insert(job.slots.of_fleet);
    if (job.host == host) {
      of_host.insert(job.slots.of_host);
    }
    if (!target_host.empty() && job.target_host == target_host) {
      of_target.insert(job.slots.of_target);
    }
  }
  JobSlots slots;
  slots.of_fleet = free_one(of_fleet, limits.jobs, before.of_fleet, random);
  slots.of_host = free_one(of_host, limits.jobs_per_host, before.of_host, random);
  if (!target_host.empty()) {
    slots.of_target = free_one(of_target, limits.jobs_per_target_host, before.of_target, random);
  }
  const bool free =
      slots.of_fleet != 0 && slots.of_host != 0 && (target_host.empty() || slots.of_target != 0);
  return free ? std::optional(slots) : std::nullopt;
}

void take_slots(ObjectChange& change, const RunningJob& job) {
  const auto take = [&](const std::string& key, const std::string& value) {
    change.expect[key] = "";
    change.set[key] = value;
  };
  take(numbered(kRunning, job.slots.of_fleet), text_of(job));
  take(host_slot(job.host, job.slots.of_host), std::to_string(job.number));
  if (!job.target_host.empty()) {
    take(target_slot(job.target_host, job.slots.of_target), std::to_string(job.number));
  }
}

void give_back_slots(ObjectChange& change, const FleetJobStatus& job, const JobSlots& slots) {
  change.remove.push_back(numbered(kRunning, slots.of_fleet));
  change.remove.push_back(host_slot(job.host, slots.of_host));
  if (!job.target_host.empty()) {
    change.remove.push_back(target_slot(job.target_host, slots.of_target));
  }
}

}  // namespace vmferry::fleet
