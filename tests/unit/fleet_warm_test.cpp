// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "lib/fleet/migrate_run.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/sync_state.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_simulation.h"
#include "tests/unit/temp_dir.h"

// Guests of a fleet that are synchronised first and cut over later.

namespace vmferry::test {
namespace {

fleet::JobOrder warm_order() {
  fleet::JobOrder order;
  order.plan = model_plan(1, 1);
  order.plan.jobs.front().way = MigrateMode::kLive;
  order.plan.jobs.front().warm = true;
  return order;
}

/// A host on which a script stands for vmferry: it writes down what it was asked for, and leaves
/// what a run leaves.
class ScriptedHost {
 public:
  ScriptedHost() {
    std::ofstream(dir_ / "vmferry") << "#!/bin/sh\n"
                                       "cd \"$(dirname \"$0\")\"\n"
                                       "echo \"$@\" >>asked\n"
                                       "case \"$*\" in\n"
                                       "*--stop*) rm state/g1.sync; end=stopped ;;\n"
                                       "*--recover*) rm state/g1.json; end=undone ;;\n"
                                       "sync*) cp synced state/g1.sync; end=synced ;;\n"
                                       "cutover*) rm state/g1.sync; end=moved ;;\n"
                                       "esac\n"
                                       "echo \"{\\\"end\\\": \\\"$end\\\"}\"\n";
    ::chmod((dir_ / "vmferry").c_str(), 0700);
    std::filesystem::create_directory(dir_ / "state");
    migrate::write_sync_state(state_to("g1-vda"), state());
    std::filesystem::rename(dir_ / "state/g1.sync", dir_ / "synced");
  }

  std::string state() const { return (dir_ / "state").string(); }
  /// A warm move is there, to that volume.
  void synchronise(const std::string& volume) {
    migrate::write_sync_state(state_to(volume), state());
  }
  /// A run of that kind was killed.
  void leave_journal(RunKind kind, const std::string& to = {}) {
    const fleet::JobOrder order = warm_order();
    Plan plan;
    plan.kind = kind;
    plan.request = migrate_request(order.plan, order.plan.jobs.front());
    plan.request.to = to;
    migrate::Journal::begin(plan, state());
  }

  fleet::JobResult run(const fleet::JobOrder& order) {
    fleet::MigrateTerms terms;
    terms.program = (dir_ / "vmferry").string();
    terms.state_dir = state();
    fleet::MigrateRunner runner(terms);
    const std::unique_ptr<fleet::JobRun> run = runner.begin(order);
    while (!run->look()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return run->result();
  }

  /// What was asked for since the last call: the first word of each, and what ends it.
  std::string asked() {
    std::ifstream file(dir_ / "asked");
    std::string all;
    for (std::string line; std::getline(file, line);) {
      const bool stops = line.find("--stop --remove-volumes") != std::string::npos;
      const bool recovers = line.find("--recover") != std::string::npos;
      all += (all.empty() ? "" : ", ") + line.substr(0, line.find(' ')) +
             (stops      ? " --stop"
              : recovers ? " --recover"
                         : "");
    }
    std::filesystem::remove(dir_ / "asked");
    return all;
  }

 private:
  static SyncState state_to(const std::string& volume) {
    const fleet::JobOrder order = warm_order();
    SyncState state;
    state.request.domain = order.plan.jobs.front().name;
    state.uuid = order.plan.jobs.front().uuid;
    SyncedDisk& disk = state.disks.emplace_back();
    disk.dev = "vda";
    disk.volume = {"vms", volume};
    state.rounds.push_back({.number = 1});
    return state;
  }

  TempDir dir_;
};

using End = fleet::JobResult::End;

}  // namespace

TEST_CASE("a warm move is synchronised, then waits, then is cut over", "[fleet]") {
  ScriptedHost host;
  fleet::JobOrder order = warm_order();
  CHECK(host.run(order).end == End::kSynced);
  CHECK(host.asked() == "sync");
  CHECK(host.run(order).end == End::kSynced);
  CHECK(host.asked().empty());
  order.cut_over = true;
  CHECK(host.run(order).end == End::kMoved);
  CHECK(host.asked() == "cutover");
}

TEST_CASE("a warm move that is cancelled is given up", "[fleet]") {
  ScriptedHost host;
  fleet::JobOrder order = warm_order();
  order.undo_only = true;
  SECTION("before it began") {
    CHECK(host.run(order).end == End::kUndone);
    CHECK(host.asked().empty());
  }
  SECTION("when it was synchronised") {
    host.synchronise("g1-vda");
    CHECK(host.run(order).end == End::kUndone);
    CHECK(host.asked() == "sync --stop");
  }
  SECTION("when its cutover was killed") {
    host.synchronise("g1-vda");
    host.leave_journal(RunKind::kCutover);
    CHECK(host.run(order).end == End::kUndone);
    CHECK(host.asked() == "migrate --recover, sync --stop");
  }
}

TEST_CASE("what a killed run of a warm move left is ended first", "[fleet]") {
  ScriptedHost host;
  fleet::JobOrder order = warm_order();
  SECTION("of its sync") {
    host.leave_journal(RunKind::kSync);
    CHECK(host.run(order).end == End::kSynced);
    CHECK(host.asked() == "migrate --recover, sync");
  }
  SECTION("of its cutover, and the hours are over") {
    host.synchronise("g1-vda");
    host.leave_journal(RunKind::kCutover);
    CHECK(host.run(order).end == End::kSynced);
    CHECK(host.asked() == "migrate --recover");
  }
}

TEST_CASE("a warm move to another host goes there with its cutover only", "[fleet]") {
  ScriptedHost host;
  fleet::JobOrder order = warm_order();
  order.plan.jobs.front().to = "qemu+ssh://h2/system";
  SECTION("a sync that was killed is its own") {
    host.leave_journal(RunKind::kSync);
    CHECK(host.run(order).end == End::kSynced);
    CHECK(host.asked() == "migrate --recover, sync");
  }
  SECTION("so is a cutover to that host") {
    host.synchronise("g1-vda");
    host.leave_journal(RunKind::kCutover, "qemu+ssh://h2/system");
    CHECK(host.run(order).end == End::kSynced);
    CHECK(host.asked() == "migrate --recover");
  }
  SECTION("one to another host is somebody's") {
    host.synchronise("g1-vda");
    host.leave_journal(RunKind::kCutover, "qemu+ssh://h3/system");
    CHECK_THAT(host.run(order).error, Contains("another move of it was left half done"));
  }
  SECTION("one that stays here, too") {
    host.synchronise("g1-vda");
    host.leave_journal(RunKind::kCutover);
    CHECK_THAT(host.run(order).error, Contains("another move of it was left half done"));
  }
}

TEST_CASE("a warm move of a person is left alone", "[fleet]") {
  ScriptedHost host;
  fleet::JobOrder order = warm_order();
  SECTION("that was killed, and the plan does not say warm") {
    host.leave_journal(RunKind::kSync);
    order.plan.jobs.front().warm = false;
    const fleet::JobResult result = host.run(order);
    CHECK(result.end == End::kFailed);
    CHECK_THAT(result.error, Contains("another move of it was left half done"));
  }
  SECTION("a move that is not warm, and the plan says warm") {
    host.leave_journal(RunKind::kMove);
    CHECK_THAT(host.run(order).error, Contains("another move of it was left half done"));
  }
  SECTION("to another volume") {
    host.synchronise("other");
    order.undo_only = GENERATE(false, true);
    CHECK_THAT(host.run(order).error, Contains("a warm move of other disks or to other volumes"));
  }
  CHECK(host.asked().empty());
}

TEST_CASE("guests are synchronised at once, and cut over in the hours for that", "[fleet][alone]") {
  FleetPlan plan = model_plan(1, 70);
  plan.limits.jobs = plan.limits.jobs_per_host = 70;
  plan.limits.cutover_window = {{.from = 120, .to = 240}};
  for (FleetJob& job : plan.jobs) {
    job.way = MigrateMode::kLive;
    job.warm = true;
  }
  plan.jobs.back().warm = false;  // more than are looked at at once come before it
  Simulation simulation(1, 1, 1, plan);
  const auto count = [&](bool synced) {
    const FleetStatus status = simulation.status();
    return std::count_if(status.jobs.begin(), status.jobs.end(), [&](const FleetJobStatus& job) {
      return synced ? job.synced : job.state == FleetJobState::kDone;
    });
  };
  for (unsigned steps = 0; steps < 2000 && (count(true) < 69 || count(false) < 1); ++steps) {
    simulation.step_all();
  }
  for (unsigned steps = 0; steps < 100; ++steps) {
    simulation.step_all();
  }
  CHECK(count(true) == 69);
  CHECK(count(false) == 1);
  CHECK_THAT(simulation.status().workers.front().waiting,
             Contains("outside of the hours of cutovers (02:00-04:00)"));
  // To be undone they need not wait.
  fleet::command(simulation.ledger, FleetCommand::kCancel, "g7");
  const auto seventh = [&] { return simulation.status().jobs[6]; };
  for (unsigned steps = 0; steps < 500 && seventh().state == FleetJobState::kPending; ++steps) {
    simulation.step_all();
  }
  for (unsigned steps = 0; steps < 500 && seventh().state == FleetJobState::kRunning; ++steps) {
    simulation.step_all();
  }
  CHECK(seventh().state == FleetJobState::kCancelled);
  CHECK_FALSE(seventh().synced);
  CHECK_FALSE(simulation.model.guests["g7"].synced);
  fleet::command(simulation.ledger, FleetCommand::kRetry, "g7");
  simulation.model.minute = 121;
  for (unsigned steps = 0; steps < 5000 && !simulation.is_over(); ++steps) {
    simulation.step_all();
  }
  require_all_moved_once(simulation, 70);
}

TEST_CASE("the wave of its cutover does not keep a synchronised guest's wave open",
          "[fleet][alone]") {
  FleetPlan plan = model_plan(1, 2);
  plan.jobs[0].way = MigrateMode::kLive;
  plan.jobs[0].warm = true;
  plan.jobs[0].cutover_wave = 3;
  plan.jobs[1].wave = 2;
  Simulation simulation(1, 1, 1, plan);
  bool second_moved_first = false;
  for (unsigned steps = 0; steps < 2000 && !simulation.is_over(); ++steps) {
    simulation.step_all();
    second_moved_first = second_moved_first || (simulation.model.guests["g2"].moved &&
                                                !simulation.model.guests["g1"].moved);
  }
  CHECK(second_moved_first);
  require_all_moved_once(simulation, 2);
}

}  // namespace vmferry::test
