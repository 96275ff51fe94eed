// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// The runs of a warm move, with every failure at every call that they make.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

enum class WarmRunKind { kFirst, kLater, kCutover, kOffline, kStop };
constexpr WarmRunKind kRuns[] = {WarmRunKind::kFirst, WarmRunKind::kLater, WarmRunKind::kCutover,
                                 WarmRunKind::kOffline, WarmRunKind::kStop};

std::string failed_checks_of(const Plan& plan) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (check.result == Check::Result::kFailed) {
      text += check.name + ": " + check.message + " (" + check.hint + ")\n";
    }
  }
  return text;
}

void run_well(Rig& rig, const Plan& plan) {
  CHECK(failed_checks_of(plan).empty());
  const Outcome outcome = rig.run(plan);
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(outcome.done());
}

void let_write(Rig& rig) {
  for (int i = 0; i < 7; ++i) {
    rig.world().tick();
  }
}

/// Up to where that run begins, which is planned.
Plan prepared(Rig& rig, WarmRunKind kind) {
  if (kind == WarmRunKind::kFirst) {
    return rig.plan_sync();
  }
  run_well(rig, rig.plan_sync());
  let_write(rig);
  switch (kind) {
    case WarmRunKind::kOffline:
      rig.request.mode = MigrateMode::kOffline;
      return rig.plan_cutover();
    case WarmRunKind::kCutover:
      rig.request.delete_source = true;  // the last step, when the state of the warm move is gone
      return rig.plan_cutover();
    case WarmRunKind::kStop:
      return rig.plan_stop(true);
    default:
      return rig.plan_sync();
  }
}

bool is_moved(Rig& rig) {
  const DefinedDomain& stored = read_definition(rig.guest().stored);
  return stored.disks.front().chain.front().image.starts_with("rbd:");
}

Problems problems_if_moved_warm(Rig& rig) {
  for (const auto& [name, image] : rig.world().images) {
    if (name.find(".vmferry-sync-") != std::string::npos) {
      rig.others.insert(name);  // an offline cutover leaves it, over the old image
    }
  }
  for (const auto& [name, image] : rig.world().images) {
    if (!image.marks.empty() &&
        rig.said().find("snapshots of the syncs stay") == std::string::npos) {
      rig.world().wrong(name + " has marks still");
    }
  }
  return rig.problems_if_moved();
}

/// Whatever happened: everything is whole, and the warm move can go on to its end.
void check_whole(Rig& rig) {
  const bool was_offline = rig.request.mode == MigrateMode::kOffline;
  if (!rig.sync_state()) {
    CHECK((is_moved(rig) ? problems_if_moved_warm(rig) : rig.problems_if_untouched()) ==
          Problems());
    return;
  }
  CHECK(rig.problems_if_synced() == Problems());
  let_write(rig);
  run_well(rig, rig.plan_sync());
  CHECK(rig.problems_if_synced() == Problems());
  let_write(rig);
  rig.request.mode = was_offline ? MigrateMode::kOffline : MigrateMode::kAuto;
  run_well(rig, rig.plan_cutover());
  CHECK_FALSE(rig.sync_state());
  CHECK(problems_if_moved_warm(rig) == Problems());
}

/// Answers whether there was something to recover from.
bool strike_warm(WarmRunKind kind, unsigned n, Fault fault, Recovery recovery) {
  Rig rig(all_ways().front());
  const Plan plan = prepared(rig, kind);
  rig.world().arm(n, fault);
  const Outcome outcome = rig.run(plan);
  const std::string where = rig.world().where();
  rig.world().arm(0, Fault::kNone);
  INFO("run " << static_cast<int>(kind) << ", call " << n << " (" << where << "), fault "
              << static_cast<int>(fault) << ", recovery " << static_cast<int>(recovery));
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(rig.problems_always() == Problems());
  const bool pending = rig.has_journal();
  if (!outcome.done() && !outcome.killed) {
    CHECK(pending == outcome.names_recovery());
  }
  if (pending) {
    Outcome end = rig.recover(recovery);
    if (recovery == Recovery::kUndo && end.error == ErrorKind::kConflict) {
      end = rig.recover(Recovery::kAuto);
    }
    INFO("recovery says: " << end.message << " hint: " << end.hint);
    CHECK(end.done());
    check_whole(rig);
  } else {
    check_whole(rig);
  }
  return pending;
}

std::vector<std::string> calls_of_run(WarmRunKind kind) {
  Rig rig(all_ways().front());
  const Plan plan = prepared(rig, kind);
  rig.world().arm(0, Fault::kNone);
  run_well(rig, plan);
  return rig.world().log();
}

void sweep_warm(Fault fault, const std::vector<Recovery>& recoveries) {
  for (const WarmRunKind kind : kRuns) {
    const std::vector<std::string> calls = calls_of_run(kind);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      if (!changes_something(calls[n - 1])) {
        continue;
      }
      for (const Recovery recovery : recoveries) {
        if (!strike_warm(kind, n, fault, recovery)) {
          break;
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("a warm move goes from sync to sync and ends on the volumes", "[migrate][sync]") {
  for (const bool offline : {false, true}) {
    INFO("offline: " << offline);
    Rig rig(all_ways().front());
    for (unsigned round = 1; round <= 4; ++round) {
      run_well(rig, rig.plan_sync());
      REQUIRE(rig.sync_state());
      CHECK(rig.sync_state()->last().number == round);
      let_write(rig);
      if (round % 2 == 0) {
        CHECK(rig.problems_if_synced() == Problems());  // and the guest is started anew
      }
    }
    rig.request.mode = offline ? MigrateMode::kOffline : MigrateMode::kAuto;
    const Plan plan = rig.plan_cutover();
    CHECK(plan.method == (offline ? CopyMethod::kOffline : CopyMethod::kStaged));
    run_well(rig, plan);
    CHECK_FALSE(rig.sync_state());
    CHECK(problems_if_moved_warm(rig) == Problems());
  }
}

TEST_CASE("a later sync copies what was written since", "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  const SyncState first = *rig.sync_state();
  rig.guest().state = DomainState::kPaused;  // it writes nothing any more
  run_well(rig, rig.plan_sync());
  run_well(rig, rig.plan_sync());
  const SyncState third = *rig.sync_state();
  CHECK(third.last().changed == 0);
  CHECK(third.disks.front().overlay != first.disks.front().overlay);
  CHECK(third.rounds.size() == 3);
}

TEST_CASE("what somebody wrote to a volume is seen, and written over", "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  let_write(rig);
  rig.world().images["rbd:vms/web1-vda"].own[1] = 4711;
  CHECK(failed_checks_of(rig.plan_cutover()).find("written to since its snapshot vmferry-sync-1") !=
        std::string::npos);
  run_well(rig, rig.plan_sync());
  CHECK(rig.problems_if_synced() == Problems());
  run_well(rig, rig.plan_cutover());
  CHECK(problems_if_moved_warm(rig) == Problems());
}

TEST_CASE("syncs so far tell of what comes", "[migrate][sync]") {
  SyncState state;
  state.rounds = {{.number = 1, .frozen_at = 1000, .changed = 1 << 30, .seconds = 60}};
  CHECK_FALSE(forecast(state, 2000));
  state.rounds.push_back({.number = 2, .frozen_at = 2000, .changed = 100'000'000, .seconds = 11});
  const auto next = forecast(state, 3000);
  REQUIRE(next);
  CHECK(next->bytes_a_second == 100'000);
  CHECK(next->sync_seconds == 11);
  // As much again as the last time, with 10 of its seconds for the bytes.
  CHECK(next->cutover_seconds > 13);
  CHECK(next->cutover_seconds < 16);
  CHECK(forecast(state, 2000)->cutover_seconds < 5);
}

TEST_CASE("a warm move that is given up leaves the guest as it was", "[migrate][sync]") {
  for (const bool remove : {true, false}) {
    for (const bool off : {false, true}) {
      INFO("removed: " << remove << ", off: " << off);
      Rig rig(all_ways().front());
      run_well(rig, rig.plan_sync());
      let_write(rig);
      run_well(rig, rig.plan_sync());
      if (off) {
        rig.power_off();
      }
      run_well(rig, rig.plan_stop(remove));
      CHECK_FALSE(rig.sync_state());
      if (!remove) {
        rig.others = {"rbd:vms/web1-vda", "rbd:vms/web1-vdb"};
        CHECK(rig.world().images["rbd:vms/web1-vda"].marks.contains("vmferry-sync-2"));
      }
      CHECK(rig.problems_if_untouched() == Problems());
    }
  }
}

TEST_CASE("a guest in a warm move is moved by no other command", "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  const Plan plan = rig.plan();
  CHECK_FALSE(plan.possible());
  CHECK(failed_checks_of(plan).find("vmferry cutover web1") != std::string::npos);
  CHECK(failed_checks_of(plan).find("vmferry sync --stop web1") != std::string::npos);
}

TEST_CASE("what somebody did to a guest between two syncs is noticed", "[migrate][sync]") {
  const auto refusal = [](const std::function<void(Rig&)>& act) {
    Rig rig(all_ways().front());
    run_well(rig, rig.plan_sync());
    act(rig);
    return failed_checks_of(rig.plan_sync());
  };
  const std::string overlay = "/img/web1-vda.vmferry-sync-1.qcow2";
  CHECK(refusal([](Rig&) {}).empty());
  CHECK(refusal([](Rig& rig) { rig.power_off(); }).find("cutover") != std::string::npos);
  CHECK(refusal([](Rig& rig) {
          rig.world().images["rbd:vms/web1-vda"].marks.clear();
        }).find("no snapshot vmferry-sync-1") != std::string::npos);
  CHECK(refusal([](Rig& rig) {
          rig.world().images["rbd:vms/web1-vda"].file += 100;
        }).find("another volume") != std::string::npos);
  CHECK(refusal([&](Rig& rig) { rig.world().images[overlay].file += 100; }).find("another file") !=
        std::string::npos);
  CHECK(refusal([](Rig& rig) {
          rig.world().images["/img/web1.img"].file += 100;
        }).find("another file") != std::string::npos);
  CHECK(refusal([](Rig& rig) { rig.guest().snapshots = 1; }).find("snapshot") != std::string::npos);
  const std::string chain = refusal([](Rig& rig) {
    LiveDisk& disk = rig.guest().disks["vda"];
    disk.chain.erase(disk.chain.begin());
    rig.guest().running = with_image(rig.guest().running, "vda", disk.chain.front());
    rig.guest().stored = with_image(rig.guest().stored, "vda", disk.chain.front());
  });
  CHECK(chain.find("chain of vda: it is on /img/web1.img, and the last sync left it on " +
                   overlay) != std::string::npos);
  CHECK(chain.find("vmferry sync --stop web1") != std::string::npos);
}

TEST_CASE("a failure in a warm move leaves all as it was, or is recovered from",
          "[faults][sweep][sync]") {
  sweep_warm(Fault::kFailBefore, {Recovery::kAuto});
  sweep_warm(Fault::kFailAfter, {Recovery::kAuto});
}

TEST_CASE("a death in a warm move is recovered from", "[faults][sweep][sync]") {
  sweep_warm(Fault::kKillAfter, {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish});
  sweep_warm(Fault::kKillBefore, {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish});
}

TEST_CASE("what libvirt goes on with after a death in a warm move is waited for",
          "[faults][sweep][sync]") {
  for (const WarmRunKind kind : kRuns) {
    const std::vector<std::string> calls = calls_of_run(kind);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      const std::string& call = calls[n - 1];
      if (call.ends_with(": snapshot") || call.ends_with("commit_layer") ||
          call.ends_with("commit_active") || call.ends_with("pivot")) {
        strike_warm(kind, n, Fault::kKillLate, Recovery::kAuto);
      }
    }
  }
}

TEST_CASE("a stop at any moment of a warm move leaves it whole", "[faults][sweep][sync]") {
  for (const WarmRunKind kind : kRuns) {
    const size_t calls = calls_of_run(kind).size();
    for (unsigned n = 1; n <= calls; n += 3) {
      Rig rig(all_ways().front());
      const Plan plan = prepared(rig, kind);
      std::stop_source stop;
      rig.world().arm(0, Fault::kNone);
      rig.world().hook = [&](unsigned call, const std::string&) {
        if (call == n) {
          stop.request_stop();
        }
      };
      const Outcome outcome = rig.run(plan, stop.get_token());
      rig.world().hook = {};
      INFO("run " << static_cast<int>(kind) << ", call " << n << ": " << outcome.message);
      CHECK(rig.has_journal() == outcome.names_recovery());
      if (rig.has_journal()) {
        CHECK(rig.recover(Recovery::kAuto).done());
      }
      check_whole(rig);
    }
  }
}

TEST_CASE("a guest that stops in a warm move loses nothing", "[faults][sweep][sync]") {
  for (const WarmRunKind kind : kRuns) {
    const size_t calls = calls_of_run(kind).size();
    for (unsigned n = 1; n <= calls; n += 2) {
      Rig rig(all_ways().front());
      const Plan plan = prepared(rig, kind);
      rig.world().arm(0, Fault::kNone);
      rig.world().hook = [&](unsigned call, const std::string&) {
        if (call == n) {
          rig.power_off();
        }
      };
      const Outcome outcome = rig.run(plan);
      rig.world().hook = {};
      INFO("run " << static_cast<int>(kind) << ", call " << n << ": " << outcome.message);
      CHECK(rig.has_journal() == outcome.names_recovery());
      if (rig.has_journal()) {
        CHECK(rig.recover(Recovery::kAuto).done());
      }
      rig.power_on();
      check_whole(rig);
    }
  }
}

TEST_CASE("a failure or death in the middle of an update is recovered from",
          "[faults][sweep][sync]") {
  for (const WarmRunKind kind : {WarmRunKind::kLater, WarmRunKind::kOffline}) {
    const std::vector<std::string> calls = calls_of_run(kind);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      if (calls[n - 1] != "update_in") {
        continue;
      }
      for (const Fault fault : {Fault::kFailMiddle, Fault::kKillMiddle}) {
        for (const Recovery recovery : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
          strike_warm(kind, n, fault, recovery);
        }
      }
    }
  }
}

}  // namespace vmferry::test
