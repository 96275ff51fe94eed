// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/fleet/worker.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_model.h"

// A fleet whose workers die and sleep, on the model.

namespace vmferry::test {

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
    terms.slots = slots;
    terms.new_name = [this, process] { return process + "." + std::to_string(++names_); };
    terms.now = [this] { return model_.now; };
    terms.minute = [this] { return model_.minute; };
    terms.trouble = [] { return std::string(); };
    worker_ = std::make_unique<fleet::Worker>(*object_, "fleet", std::move(terms), *runner_);
    asleep_until_ = {};
    is_stopping_ = false;
  }
  void kill() {
    worker_.reset();
    object_.reset();
  }
  void sleep(std::chrono::milliseconds time) { asleep_until_ = model_.now + time; }
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
  void stop() {
    worker_->stop();
    is_stopping_ = true;
  }
  /// It ended by itself, after stop().
  bool has_ended() const { return lives() && is_stopping_ && worker_->is_idle(); }

  unsigned slots = 0;  ///< of the worker that starts next

 private:
  FleetModel& model_;
  const std::string host_;
  const std::string name_;
  bool is_busy_ = false;
  bool is_stopping_ = false;
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
    for (const FleetJob& job : plan.jobs) {
      jobs[job.name] = job;
    }
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
    unsigned at_once = 0;
    std::map<std::string, unsigned> of_host;
    std::map<std::string, unsigned> of_target;
    for (const auto& [name, guest] : model.guests) {
      if (!guest.busy.empty()) {
        ++at_once;
        ++of_host[jobs.at(name).host];
        ++of_target[jobs.at(name).target_host];
      }
    }
    of_target.erase("");  // those stay
    require_at_most(limits.jobs, at_once, "in the fleet");
    for (const auto& [host, count] : of_host) {
      require_at_most(limits.jobs_per_host, count, "on " + host);
    }
    for (const auto& [host, count] : of_target) {
      require_at_most(limits.jobs_per_target_host, count, "to " + host);
    }
  }
  void require_at_most(unsigned limit, unsigned count, const std::string& where) {
    if (count > limit) {
      model.wrong.push_back("too many at once " + where + ": " + std::to_string(count));
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
    model.pass(std::chrono::milliseconds(model.random() % 500));
    WorkerProcess& one = processes[model.random() % processes.size()];
    if (!one.lives()) {
      if (!trouble || model.chance(50)) {
        one.start();
      }
    } else if (one.is_awake()) {
      if (trouble && model.chance(4)) {
        one.kill();
      } else if (trouble && model.chance(4)) {
        one.sleep(std::chrono::milliseconds(model.random() % 90000));
      } else if (trouble && model.chance(4)) {
        one.stop();
      } else {
        one.tick();
      }
      if (one.has_ended()) {
        one.kill();
      }
    }
    check();
  }

  /// Every worker looks after its jobs, as they do.
  void step_all() {
    model.pass(std::chrono::milliseconds(model.random() % 500));
    for (WorkerProcess& each : processes) {
      each.tick();
      check();
    }
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
  std::map<std::string, FleetJob> jobs;  ///< by name
  ModelObject object;
  fleet::Ledger ledger;
  std::vector<WorkerProcess> processes;
};

inline std::string wrongs_of(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) {
    all += line + "\n";
  }
  return all;
}

inline void require_all_moved_once(Simulation& simulation, size_t jobs) {
  INFO(wrongs_of(simulation.model.wrong));
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
    REQUIRE(!simulation.model.guests[job.guest].synced);
    REQUIRE(!job.synced);
  }
}

}  // namespace vmferry::test
