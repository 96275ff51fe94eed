// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/fleet_state.h"

#include <algorithm>
#include <map>
#include <thread>

#include "lib/fleet/place.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

/// What the fleet is at, for people.
std::string state_word(const FleetFacts& facts, const std::vector<FleetJobStatus>& jobs) {
  // What ran in a cancelled fleet is still undone.
  const bool busy = std::any_of(jobs.begin(), jobs.end(), [](const FleetJobStatus& job) {
    return job.state == FleetJobState::kRunning || job.state == FleetJobState::kPending;
  });
  if (facts.control.state == "cancelled") {
    return busy ? "cancelling" : "cancelled";
  }
  return facts.count.left.empty() ? "ended" : facts.control.state;
}

}  // namespace

FleetStatus status_of(Ledger& ledger) {
  FleetStatus status;
  const FleetFacts facts = ledger.facts();
  status.why = facts.control.why;
  status.submitted = facts.control.submitted;
  for (JobEntry& job : ledger.jobs()) {
    status.jobs.push_back(std::move(job.status));
  }
  status.workers = ledger.workers();
  std::map<std::string, bool> alive;
  for (const FleetWorkerStatus& worker : status.workers) {
    alive[worker.id] = worker.alive;
  }
  std::map<unsigned, RunningJob> running;
  for (RunningJob& job : ledger.running()) {
    running[job.number] = std::move(job);
  }
  for (FleetJobStatus& job : status.jobs) {
    // A cancelled fleet begins nothing more: nobody goes through all its jobs to say so.
    const bool never_ran = job.state == FleetJobState::kPending && job.attempts == 0;
    if (never_ran && facts.control.state == "cancelled") {
      job.state = FleetJobState::kCancelled;
    }
    const auto now = running.find(job.number);
    if (job.state == FleetJobState::kRunning && now != running.end()) {
      job.progress = now->second.progress;
      job.has_worker = alive[job.worker];
    }
  }
  status.state = state_word(facts, status.jobs);
  return status;
}

namespace {

FleetStatus named_status(OpenFleet& fleet) {
  FleetStatus status = status_of(fleet.ledger());
  status.name = fleet.place().name;
  status.pool = fleet.place().pool;
  return status;
}

/// A cluster that does not answer shows when it is asked next.
bool is_woken(OpenFleet& fleet, std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  try {
    return fleet.object().wait(time);
  } catch (const Error&) {
    std::this_thread::sleep_until(until);
    return false;
  }
}

/// False: there was no answer, and there may be one later.
bool ask_again(OpenFleet& fleet, FleetStatus& status,
               const std::function<void(const Error&)>& trouble) {
  try {
    status = named_status(fleet);
    return true;
  } catch (const Error& error) {
    if (!trouble || error.kind() != ErrorKind::kIo) {
      throw;
    }
    trouble(error);
    return false;
  }
}

}  // namespace
}  // namespace fleet

size_t FleetStatus::count(FleetJobState wanted) const {
  return static_cast<size_t>(std::count_if(
      jobs.begin(), jobs.end(), [&](const FleetJobStatus& job) { return job.state == wanted; }));
}

FleetStatus fleet_status(const FleetPlace& place) {
  fleet::OpenFleet fleet(place);
  return fleet::named_status(fleet);
}

void watch_fleet(const FleetPlace& place, std::chrono::milliseconds every,
                 const std::function<void(const FleetStatus&)>& show,
                 const std::function<void(const Error&)>& trouble, std::stop_token stop) {
  constexpr std::chrono::milliseconds kLook{200};  // whether it was asked to stop
  fleet::OpenFleet fleet(place);
  FleetStatus status = fleet::named_status(fleet);
  bool is_known = true;
  while (!stop.stop_requested()) {
    if (is_known) {
      show(status);
    }
    if (status.state == "ended" || status.state == "cancelled") {
      return;
    }
    const auto next = std::chrono::steady_clock::now() + every;
    bool woken = false;
    while (!stop.stop_requested() && !woken && std::chrono::steady_clock::now() < next) {
      woken = fleet::is_woken(fleet, kLook);
    }
    is_known = fleet::ask_again(fleet, status, trouble);
  }
}

FleetPlan fleet_plan(const FleetPlace& place) {
  fleet::OpenFleet fleet(place);
  return read_plan(fleet.object().data(), fleet.ledger().what());
}

}  // namespace vmferry
