// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_warm.h"
#include "vmferry/error.h"

// The runs of a warm move.

namespace vmferry::test {
namespace {

const WayUnderTest& one_volume() { return warm_ways().at(2); }

}  // namespace

TEST_CASE("a warm move goes from sync to sync and ends on the volumes", "[migrate][sync]") {
  for (const WayUnderTest& way : warm_ways()) {
    for (const bool offline : {false, true}) {
      INFO(way.name << ", offline: " << offline);
      Rig rig(way);
      sync_four_times(rig);
      rig.request.mode = offline ? MigrateMode::kOffline : MigrateMode::kAuto;
      const Plan plan = rig.plan_cutover();
      CHECK(plan.method == (offline ? CopyMethod::kOffline : CopyMethod::kStaged));
      run_well(rig, plan);
      CHECK_FALSE(rig.sync_state());
      CHECK(problems_if_moved_warm(rig) == Problems());
    }
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
  CHECK(failed_checks_of(rig.plan_cutover(true)).empty());
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

TEST_CASE("what is not as a sync of volumes left it is noticed", "[migrate][sync]") {
  const auto refusal = [](unsigned syncs, const std::function<void(Rig&)>& act) {
    Rig rig(one_volume());
    for (unsigned i = 0; i < syncs; ++i) {
      run_well(rig, rig.plan_sync());
    }
    act(rig);
    return failed_checks_of(rig.plan_sync());
  };
  const std::string old = "rbd:vms/old-a";
  CHECK(refusal(2, [](Rig&) {}).empty());
  CHECK(refusal(0, [&](Rig& rig) {
          rig.world().images[old + "@vmferry-sync-3"] = {};
        }).find("rbd snap rm vms/old-a@vmferry-sync-3") != std::string::npos);
  CHECK(refusal(2, [&](Rig& rig) {
          rig.world().images.erase(old + "@vmferry-sync-2");
        }).find("has no snapshot vmferry-sync-2 any more") != std::string::npos);
  CHECK(refusal(1, [&](Rig& rig) {
          rig.world().images[old].file = 77;
        }).find("another volume has the name rbd:vms/old-a now") != std::string::npos);
  CHECK(refusal(1, [&](Rig& rig) {
          rig.world().images["rbd:vms/elsewhere"] = rig.world().images[old];
          const Layer elsewhere = layer_of_image("rbd:vms/elsewhere", "raw");
          rig.guest().disks.at("vda").chain = {elsewhere};
          rig.guest().running = with_image(rig.guest().running, "vda", elsewhere);
        }).find("it is on rbd:vms/elsewhere, and was on rbd:vms/old-a") != std::string::npos);
}

TEST_CASE("a snapshot of an old volume that a sync did not make stays", "[migrate][sync]") {
  Rig rig(one_volume());
  run_well(rig, rig.plan_sync());
  const Plan plan = rig.plan_sync();
  rig.world().images["rbd:vms/old-a@vmferry-sync-2"] = {.own = {{1, 4711}}};
  const Outcome outcome = rig.run(plan);
  CHECK(outcome.error == ErrorKind::kConflict);
  CHECK(outcome.hint.find("rbd snap rm vms/old-a@vmferry-sync-2") != std::string::npos);
  CHECK(rig.world().images.at("rbd:vms/old-a@vmferry-sync-2").own == Content{{1, 4711}});
  CHECK_FALSE(rig.has_journal());
}

TEST_CASE("a warm move of volumes can be given up, whatever became of them", "[migrate][sync]") {
  const auto stop_after = [](bool remove, const std::function<void(Rig&)>& act) {
    Rig rig(one_volume());
    run_well(rig, rig.plan_sync());
    act(rig);
    const Plan plan = rig.plan_stop(remove);
    CHECK(plan.possible());
    const Outcome outcome = rig.run(plan);
    CHECK(rig.sync_state().has_value() == !outcome.done());
    return outcome.message;
  };
  CHECK(stop_after(true, [](Rig& rig) {
          rig.world().images.erase("rbd:vms/old-a@vmferry-sync-1");
        }).empty());
  const auto put_it_there = [](Rig& rig) {
    const Layer there = layer_of_image("rbd:fast/web1-vda", "raw");
    rig.power_off();
    rig.guest().stored = with_image(rig.guest().stored, "vda", there);
  };
  CHECK(stop_after(false, put_it_there).empty());
  CHECK(stop_after(true, put_it_there).find("has it as its disk vda already") != std::string::npos);

  Rig rig(one_volume());
  run_well(rig, rig.plan_sync());
  rig.world().images["rbd:vms/old-a"].file = 77;  // with the snapshots of another warm move
  run_well(rig, rig.plan_stop(true));
  CHECK(rig.world().images.contains("rbd:vms/old-a@vmferry-sync-1"));
  CHECK(rig.said().find("another volume has its name now") != std::string::npos);
}

TEST_CASE("a warm move whose machine is gone names what is left", "[migrate][sync]") {
  Rig rig(one_volume());
  run_well(rig, rig.plan_sync());
  rig.alpha().domains.clear();
  std::string hint;
  try {
    rig.plan_stop(true);
  } catch (const Error& error) {
    hint = error.hint();
  }
  CHECK(hint.find("/web1.sync") != std::string::npos);
}

TEST_CASE("what a warm move of volumes does not do is refused", "[migrate][sync]") {
  Rig files(all_ways().front());
  files.request.snapshots = true;
  CHECK(failed_checks_of(files.plan_sync()).find("leave --snapshots out") != std::string::npos);
  Rig volume(one_volume());
  volume.request.snapshots = true;
  volume.world().images["rbd:vms/old-a"].snapshots.push_back("monday");
  CHECK(failed_checks_of(volume.plan_sync()).empty());
}

TEST_CASE("a disk that was resized in its warm move is refused before anything is done",
          "[migrate][sync]") {
  Rig rig(one_volume());
  run_well(rig, rig.plan_sync());
  rig.world().images["rbd:vms/old-a"].size += kClusterBytes;
  rig.guest().state = DomainState::kPaused;
  for (const Plan& plan : {rig.plan_sync(), rig.plan_cutover()}) {
    CHECK(failed_checks_of(plan).find("it was resized") != std::string::npos);
  }
  CHECK(failed_checks_of(rig.plan_stop(true)).empty());
}

TEST_CASE("an offline cutover deletes old volumes, and no old images", "[migrate][sync]") {
  for (const WayUnderTest& way : warm_ways()) {
    INFO(way.name);
    Rig rig(way);
    run_well(rig, rig.plan_sync());
    rig.request.mode = MigrateMode::kOffline;
    rig.request.delete_source = true;
    const Plan plan = rig.plan_cutover();
    const bool is_on_files = plan.disks.front().image.volume == std::nullopt;
    CHECK(plan.possible() == !is_on_files);
    if (!is_on_files) {
      run_well(rig, plan);
      CHECK_FALSE(rig.world().images.contains("rbd:vms/old-a"));
      CHECK(problems_if_moved_warm(rig) == Problems());
    }
  }
}

}  // namespace vmferry::test
