// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/fleet/worker.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_model.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A worker as a process: it can be killed, or sleep.
class WorkerProcess {
 public:
  WorkerProcess(FleetModel& model, std::string host, std::string name)
      : model_(model), host_(std::move(host)), name_(std::move(name)) {}

  void start() {
    const std::string process = name_ + "#" + std::to_string(++starts_);
    object_ = std::make_unique<ModelObject>(model_, process);
    runner_ = std::make_unique<ModelRunner>(model_, process);
    fleet::WorkerTerms terms;
    terms.host = host_;
    terms.new_name = [this, process] { return process + "." + std::to_string(++names_); };
    terms.now = [this] { return model_.now; };
    terms.minute = [] { return 0U; };
    terms.trouble = [] { return std::string(); };
    worker_ = std::make_unique<fleet::Worker>(*object_, "fleet", std::move(terms), *runner_);
    asleep_until_ = {};
  }
  void kill() {
    worker_.reset();
    object_.reset();
  }
  void sleep(milliseconds time) { asleep_until_ = model_.now + time; }
  bool lives() const { return worker_ != nullptr; }
  bool is_awake() const { return lives() && model_.now >= asleep_until_; }
  bool is_idle() const { return !lives() || worker_->is_idle(); }
  bool is_done() const { return lives() && worker_->is_done(); }
  void tick() {
    is_busy_ = true;
    worker_->tick();
    is_busy_ = false;
  }
  bool is_busy() const { return is_busy_; }
  void stop() { worker_->stop(); }

 private:
  FleetModel& model_;
  const std::string host_;
  const std::string name_;
  bool is_busy_ = false;
  unsigned starts_ = 0;
  unsigned names_ = 0;
  std::unique_ptr<ModelObject> object_;
  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<fleet::Worker> worker_;
  FleetModel::Time asleep_until_{};
};

struct Simulation {
  Simulation(unsigned seed, unsigned hosts, unsigned workers, const FleetPlan& plan)
      : model(seed), limits(plan.limits), object(model, "admin"), ledger(object, "fleet", "admin") {
    processes.reserve(workers);  // they stay where they are
    for (unsigned i = 0; i < workers; ++i) {
      processes.emplace_back(model, "h" + std::to_string(i % hosts + 1), "w" + std::to_string(i));
      processes.back().start();
    }
    REQUIRE(object.change([&] {
      ObjectChange change = fleet::new_fleet(plan, "first");
      change.create = true;
      return change;
    }()) == Changed::kDone);
    model.between = [this] { work_between(); };
  }

  /// Whatever happens, this holds.
  void check() {
    const auto busy = [&](const FleetModel::Guest& guest) { return !guest.busy.empty(); };
    const auto at_once = std::count_if(model.guests.begin(), model.guests.end(),
                                       [&](const auto& guest) { return busy(guest.second); });
    if (static_cast<unsigned>(at_once) > limits.jobs) {
      model.wrong.push_back("too many at once: " + std::to_string(at_once));
    }
  }

  /// Another worker, while one waits for an answer.
  void work_between() {
    WorkerProcess& other = processes[model.random() % processes.size()];
    const auto busy = std::count_if(processes.begin(), processes.end(),
                                    [](const WorkerProcess& each) { return each.is_busy(); });
    if (busy == 1 && !other.is_busy() && other.is_awake() && model.chance(100)) {
      other.tick();
      check();
    }
  }

  void step(bool trouble) {
    model.pass(milliseconds(model.random() % 500));
    WorkerProcess& one = processes[model.random() % processes.size()];
    if (!one.lives()) {
      if (!trouble || model.chance(50)) {
        one.start();
      }
    } else if (one.is_awake()) {
      if (trouble && model.chance(4)) {
        one.kill();
      } else if (trouble && model.chance(4)) {
        one.sleep(milliseconds(model.random() % 90000));
      } else {
        one.tick();
      }
    }
    check();
  }

  FleetStatus status() {
    const FleetModel::Faults faults = std::exchange(model.faults, {});
    FleetStatus status = fleet::status_of(ledger);
    model.faults = faults;
    return status;
  }
  bool is_over() { return status().state == "ended"; }

  FleetModel model;
  const FleetLimits limits;
  ModelObject object;
  fleet::Ledger ledger;
  std::vector<WorkerProcess> processes;
};

std::string all_of(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) {
    all += line + "\n";
  }
  return all;
}

void require_all_moved_once(Simulation& simulation, size_t jobs) {
  INFO(all_of(simulation.model.wrong));
  REQUIRE(simulation.model.wrong.empty());
  simulation.model.pass(std::chrono::minutes(1));  // what is late has come by then
  REQUIRE(simulation.ledger.running().empty());
  const FleetStatus status = simulation.status();
  REQUIRE(status.jobs.size() == jobs);
  for (const FleetJobStatus& job : status.jobs) {
    INFO(job.guest << " " << word_of(job.state) << " " << job.error);
    REQUIRE(job.state == FleetJobState::kDone);
    REQUIRE(simulation.model.guests[job.guest].moves == 1);
    REQUIRE(!simulation.model.guests[job.guest].journal);
  }
}

void simulate(unsigned seed, unsigned hosts, unsigned workers, unsigned jobs, unsigned waves,
              FleetModel::Faults faults) {
  INFO("seed " << seed);
  FleetPlan plan = model_plan(hosts, jobs, waves);
  plan.limits.jobs = 5;
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
    simulation.step(false);
  }
  require_all_moved_once(simulation, 40);
  for (const FleetJobStatus& job : simulation.status().jobs) {
    REQUIRE(job.attempts == 1);  // nobody takes what a worker has that lives
  }
}

TEST_CASE("the jobs that run share the bandwidth of a fleet", "[fleet][alone]") {
  FleetPlan plan = model_plan(2, 20);
  plan.limits.jobs = 2;
  plan.limits.bandwidth = 1000;
  Simulation simulation(1, 2, 2, plan);
  std::set<uint64_t> seen;
  std::map<std::string, uint64_t> before;
  unsigned calm = 0;
  for (unsigned steps = 0; steps < 5000 && !simulation.is_over(); ++steps) {
    simulation.step(false);
    std::map<std::string, uint64_t> rates;
    for (const auto& [name, guest] : simulation.model.guests) {
      if (!guest.busy.empty()) {
        rates[name] = guest.bandwidth;
      }
    }
    const auto same = [](const auto& one, const auto& other) { return one.first == other.first; };
    calm =
        std::equal(rates.begin(), rates.end(), before.begin(), before.end(), same) ? calm + 1 : 0;
    before = rates;
    // Each looks every five seconds. A step takes a quarter of one, and is of one of the two.
    for (const auto& [name, rate] : rates) {
      if (calm > 40) {
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
