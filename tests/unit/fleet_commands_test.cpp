// SPDX-License-Identifier: LGPL-2.1-or-later
#include <array>
#include <set>
#include <string>

#include "lib/fleet/values.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_simulation.h"
#include "vmferry/error.h"

// Commands in any order, while workers die and answers are lost.

namespace vmferry::test {
namespace {

using Keys = std::set<std::string>;

void add_keys_of(const FleetJobStatus& job, const std::string& text, Keys& keys) {
  if (job.state == FleetJobState::kPending) {
    keys.insert(fleet::pending_key(job.host, job.wave, job.number));
  } else if (job.state == FleetJobState::kRunning) {
    const fleet::JobSlots slots = fleet::slots_of(text, "the model");
    keys.insert(fleet::numbered(fleet::kRunning, slots.of_fleet));
    keys.insert(fleet::numbered((fleet::kHostSlots + job.host + "/").c_str(), slots.of_host));
    if (!job.target_host.empty()) {
      keys.insert(
          fleet::numbered((fleet::kTargetSlots + job.target_host + "/").c_str(), slots.of_target));
    }
  }
}

bool has_ended(FleetJobState state) {
  return state == FleetJobState::kDone || state == FleetJobState::kFailed ||
         state == FleetJobState::kCancelled;
}

/// What is written down fits together, at every moment.
void check_keys(Simulation& simulation) {
  std::vector<std::string>& wrong = simulation.model.wrong;
  Keys wanted;
  Keys found;
  std::map<std::string, fleet::Count> left;
  fleet::Count hosts;
  for (const auto& [key, text] : simulation.model.keys) {
    for (const std::string prefix : {"pending/", "run/", "at/", "to/"}) {
      if (key.starts_with(prefix)) {
        found.insert(key);
      }
    }
    if (!key.starts_with(fleet::kJobs)) {
      continue;
    }
    const FleetJobStatus job = fleet::job_of(text, "the model");
    add_keys_of(job, text, wanted);
    if (!has_ended(job.state) && ++left[job.host].left[job.wave] == 1) {
      ++hosts.left[job.wave];
    }
    const FleetModel::Guest& guest = simulation.model.guests[job.guest];
    if (job.state == FleetJobState::kCancelled &&
        (guest.journal || guest.synced || !guest.busy.empty())) {
      wrong.push_back(job.guest + " is cancelled and half done");
    }
    if ((job.state == FleetJobState::kDone) && !guest.moved) {
      wrong.push_back(job.guest + " is done and not moved");
    }
  }
  if (wanted != found) {
    wrong.push_back("other keys than there should be");
  }
  if (simulation.model.keys.at(fleet::kCountKey) != fleet::text_of(hosts)) {
    wrong.push_back("a wrong count: " + simulation.model.keys.at(fleet::kCountKey));
  }
  for (const auto& [key, text] : simulation.model.keys) {
    if (key.starts_with(fleet::kHostCounts)) {
      const std::string host = key.substr(std::string(fleet::kHostCounts).size());
      if (text != fleet::text_of(left[host])) {
        wrong.push_back("a wrong count of " + host + ": " + text);
      }
    }
  }
}

/// What it means does not matter, nor whether it is answered.
void tell(Simulation& simulation, FleetCommand command, const std::string& guest) {
  try {
    fleet::command(simulation.ledger, command, guest);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConflict && error.kind() != ErrorKind::kIo) {
      simulation.model.wrong.emplace_back(error.what());
    }
  }
}

void tell_something(Simulation& simulation) {
  static constexpr std::array<FleetCommand, 4> kCommands = {
      FleetCommand::kPause, FleetCommand::kResume, FleetCommand::kCancel, FleetCommand::kRetry};
  FleetModel& model = simulation.model;
  const FleetCommand command = kCommands[model.random() % kCommands.size()];
  const bool all = model.chance(200);
  const std::string guest = "g" + std::to_string(model.random() % simulation.jobs.size() + 1);
  tell(simulation, command, all ? "" : guest);
}

/// What a person does who wants all to be moved.
void end_well(Simulation& simulation) {
  const FleetStatus status = simulation.status();
  if (status.state == "paused" || status.state == "stopped") {
    tell(simulation, FleetCommand::kResume, "");
  }
  tell(simulation, FleetCommand::kRetry, "");
  for (const FleetJobStatus& job : status.jobs) {
    if (job.state == FleetJobState::kPaused) {
      tell(simulation, FleetCommand::kResume, job.guest);
    }
  }
}

bool all_done(Simulation& simulation) {
  const FleetStatus status = simulation.status();
  return status.count(FleetJobState::kDone) == status.jobs.size();
}

void simulate_commands(unsigned seed) {
  INFO("seed " << seed);
  const unsigned hosts = 1 + seed % 3;
  const unsigned jobs = 12;
  FleetPlan plan = model_plan(hosts, jobs, 1 + seed % 2);
  make_some_warm(plan);
  plan.limits.stop_after_failures = 3;
  Simulation simulation(seed, hosts, hosts + seed % 3, plan);
  simulation.model.fail_of_thousand = 100;
  simulation.model.faults = {.fail = seed % 30, .lose = seed % 40, .late = seed % 20};
  for (unsigned steps = 1; steps <= 1500; ++steps) {
    simulation.step(true);
    if (simulation.model.chance(30)) {
      tell_something(simulation);
    }
    if (steps % 25 == 0) {
      check_keys(simulation);
    }
  }
  simulation.model.faults = {};
  simulation.model.fail_of_thousand = 0;
  for (unsigned steps = 1; steps <= 20000 && !(steps % 50 == 0 && all_done(simulation)); ++steps) {
    simulation.step(false);
    if (steps % 500 == 0) {
      end_well(simulation);
    }
  }
  require_all_moved_once(simulation, jobs);
  check_keys(simulation);
  INFO(wrongs_of(simulation.model.wrong));
  REQUIRE(simulation.model.wrong.empty());
}

}  // namespace

TEST_CASE("commands in any order lose no guest", "[fleet][alone]") {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    simulate_commands(seed);
  }
}

TEST_CASE("very many commands in any order lose no guest", "[fleet][sweep]") {
  for (unsigned seed = 1000; seed < 1300; ++seed) {
    simulate_commands(seed);
  }
}

}  // namespace vmferry::test
