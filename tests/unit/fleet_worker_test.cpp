// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/fleet_simulation.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

void simulate(unsigned seed, unsigned hosts, unsigned workers, unsigned jobs, unsigned waves,
              FleetModel::Faults faults) {
  INFO("seed " << seed);
  FleetPlan plan = model_plan(hosts, jobs, waves);
  plan.limits.jobs = 5;
  for (size_t i = 0; i < plan.jobs.size(); i += 2) {
    plan.jobs[i].to = "qemu+ssh://t/system";
    plan.jobs[i].target_host = "t";
  }
  make_some_warm(plan);
  Simulation simulation(seed, hosts, workers, plan);
  simulation.model.faults = faults;
  unsigned steps = 0;
  while (steps++ < 20000 && !(steps % 50 == 0 && simulation.is_over())) {
    simulation.step(true);
  }
  simulation.model.faults = {};
  while (steps++ < 60000 && !(steps % 50 == 0 && simulation.is_over())) {
    simulation.step(false);
  }
  require_all_moved_once(simulation, jobs);
}

}  // namespace

TEST_CASE("a fleet without trouble moves every guest once", "[fleet][alone]") {
  FleetPlan plan = model_plan(2, 40, 3);
  plan.limits.jobs = 3;
  Simulation simulation(1, 2, 8, plan);
  for (unsigned steps = 0; steps < 5000 && !simulation.is_over(); ++steps) {
    simulation.step_all();
  }
  require_all_moved_once(simulation, 40);
  for (const FleetJobStatus& job : simulation.status().jobs) {
    REQUIRE(job.attempts == 1);  // nobody takes what a worker has that lives
  }
}

TEST_CASE("a worker takes over no more jobs than it has slots", "[fleet][alone]") {
  FleetPlan plan = model_plan(1, 6);
  plan.limits.jobs_per_host = 3;
  Simulation simulation(1, 1, 2, plan);
  WorkerProcess& first = simulation.processes[0];
  WorkerProcess& second = simulation.processes[1];
  const auto at_work = [&] {
    return std::count_if(simulation.model.guests.begin(), simulation.model.guests.end(),
                         [](const auto& guest) { return !guest.second.busy.empty(); });
  };
  second.kill();
  for (unsigned steps = 0; steps < 200 && at_work() < 3; ++steps) {
    first.tick();
    simulation.model.pass(std::chrono::milliseconds(10));
  }
  REQUIRE(at_work() == 3);
  first.kill();
  second.slots = 1;
  second.start();
  while (!simulation.is_over()) {
    second.tick();
    REQUIRE(at_work() <= 1);
    simulation.model.pass(std::chrono::milliseconds(100));
  }
  require_all_moved_once(simulation, 6);
  unsigned attempts = 0;
  for (const FleetJobStatus& job : simulation.status().jobs) {
    attempts += job.attempts;
  }
  CHECK(attempts == 9);  // three were taken over
}

TEST_CASE("the jobs that run share the bandwidth of a fleet", "[fleet][alone]") {
  FleetPlan plan = model_plan(2, 20);
  plan.limits.jobs = 2;
  plan.limits.bandwidth = 1000;
  Simulation simulation(1, 2, 2, plan);
  std::set<uint64_t> seen;
  std::map<std::string, uint64_t> before;
  FleetModel::Time calm_since = simulation.model.now;
  for (unsigned steps = 0; steps < 5000 && !simulation.is_over(); ++steps) {
    simulation.step_all();
    std::map<std::string, uint64_t> rates;
    for (const auto& [name, guest] : simulation.model.guests) {
      if (!guest.busy.empty()) {
        rates[name] = guest.bandwidth;
      }
    }
    const auto same = [](const auto& one, const auto& other) { return one.first == other.first; };
    if (!std::equal(rates.begin(), rates.end(), before.begin(), before.end(), same)) {
      calm_since = simulation.model.now;
    }
    before = rates;
    // Each looks every five seconds.
    for (const auto& [name, rate] : rates) {
      if (simulation.model.now - calm_since > std::chrono::seconds(6)) {
        REQUIRE(rate == 1000 / rates.size());
        seen.insert(rate);
      }
    }
  }
  CHECK(!seen.empty());
  require_all_moved_once(simulation, 20);
}

TEST_CASE("workers that die and sleep move every guest once", "[fleet][alone]") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    simulate(seed, 3, 5, 20, 2, {});
  }
}

TEST_CASE("lost, late and failed answers move every guest once", "[fleet][alone]") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    simulate(seed, 3, 5, 20, 2, {.fail = 20, .lose = 30, .late = 20});
  }
}

TEST_CASE("many fleets in much trouble move every guest once", "[fleet][sweep]") {
  for (unsigned seed = 100; seed < 160; ++seed) {
    simulate(seed, 1 + seed % 5, 1 + seed % 5 + seed % 7, 30, 1 + seed % 4,
             {.fail = seed % 50, .lose = seed % 70, .late = seed % 40});
  }
}

}  // namespace vmferry::test
