// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctime>
#include <fstream>
#include <regex>
#include <sstream>
#include <utility>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_warm.h"

// First syncs whose overlays become too large. What can fail in them is in the sweeps of warm
// moves.

namespace vmferry::test {
namespace {

const WayUnderTest& on_rungs() { return warm_ways().back(); }

bool has_overlay_of_rung(Rig& rig) {
  const SyncState state = rig.sync_state().value();
  return state.disks.front().overlay.find("vmferry-sync-1-") != std::string::npos;
}

/// Lets the run that was killed have frozen its disks in 1970, and not have told it anew.
void date_back(Rig& rig, const std::string& name) {
  const std::string path = rig.state_dir() + "/" + kGuestName + ".json";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const std::regex when("\"" + name + "\": *\"[0-9.]+\"");
  REQUIRE(std::regex_search(text.str(), when));
  std::ofstream(path) << std::regex_replace(text.str(), when, "\"" + name + "\":\"1000.000\"");
}

/// Is its length counted from 1970 on, and the moment that it holds one of today?
bool counts_from_its_begin(Rig& rig) {
  const SyncRound last = rig.sync_state().value().last();
  const auto now = static_cast<double>(::time(nullptr));
  return last.seconds > now - 2000 && last.frozen_at > 1'000'000;
}

}  // namespace

TEST_CASE("a first sync goes on when its overlays are too large", "[migrate][sync][rungs]") {
  Rig rig(on_rungs());
  run_well(rig, rig.plan_sync());
  CHECK(rig.said().find("then the copy goes on (rung 2)") != std::string::npos);
  CHECK(rig.said().find("then the copy goes on (rung 3)") != std::string::npos);
  CHECK(has_overlay_of_rung(rig));
  CHECK(rig.problems_if_synced() == Problems());
}

TEST_CASE("a rung takes nobody's file", "[migrate][sync][rungs]") {
  Rig rig(on_rungs());
  const Plan plan = rig.plan_sync();
  const std::string theirs = "/img/web1-vdb.vmferry-sync-1-2.qcow2";
  rig.world().images[theirs] = {.format = "qcow2", .size = kDiskBytes};
  rig.others.insert(theirs);
  run_well(rig, plan);
  CHECK(rig.said().find("(rung 2)") == std::string::npos);
  CHECK(rig.said().find("(rung 3)") != std::string::npos);
  CHECK(rig.problems_if_synced() == Problems());
}

TEST_CASE("a copy that died after a rung is not gone on with", "[migrate][sync][rungs]") {
  Rig rig(on_rungs());
  const Plan plan = rig.plan_sync();
  rig.world().arm(1, Fault::kKillBefore, "copy_second");
  CHECK(rig.run(plan).killed);
  rig.world().arm(0, Fault::kNone);
  const Outcome end = rig.recover(Recovery::kAuto);
  CHECK(end.done());
  CHECK(end.report.end == MigrateReport::End::kUndone);
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("a first sync counts from its first freeze, and holds what its last one froze",
          "[migrate][sync][rungs]") {
  // Journals of older versions have the last one only.
  for (const bool is_after_rung : {true, false}) {
    INFO("killed after a rung: " << is_after_rung);
    Rig rig(on_rungs());
    const Plan plan = rig.plan_sync();
    rig.world().arm(1, Fault::kKillBefore, is_after_rung ? "copy_second" : "copy_first");
    CHECK(rig.run(plan).killed);
    rig.world().arm(0, Fault::kNone);
    date_back(rig, is_after_rung ? "first-frozen-at" : "frozen-at");
    CHECK(rig.recover(Recovery::kFinish).done());
    CHECK(counts_from_its_begin(rig));
  }
}

TEST_CASE("a guest that is stopped in a rung is said to be off", "[migrate][sync][rungs]") {
  Rig rig(on_rungs());
  const Plan plan = rig.plan_sync();
  bool is_in_rung = false;
  rig.world().hook = [&](unsigned, const std::string& what) {
    if (what == "alpha: snapshot" && std::exchange(is_in_rung, true)) {
      rig.power_off();
    }
  };
  const Outcome outcome = rig.run(plan);
  INFO(outcome.message);
  CHECK(outcome.message.find("the guest was stopped meanwhile") != std::string::npos);
  CHECK(rig.said().find("the guest was stopped meanwhile: it is off") != std::string::npos);
}

TEST_CASE("a guest put back on the overlay before a rung is not taken for one that never left",
          "[migrate][sync][rungs]") {
  Rig rig(on_rungs());
  const Plan plan = rig.plan_sync();
  rig.world().arm(1, Fault::kKillAfter, "alpha: commit_layer");
  CHECK(rig.run(plan).killed);
  rig.world().arm(0, Fault::kNone);
  const std::string newest = rig.guest().disks["vda"].chain.front().image;
  rig.power_off();
  const std::string stored = rig.guest().stored;
  for (const char* dev : {"vda", "vdb"}) {
    rig.guest().stored = with_image(
        rig.guest().stored, dev,
        layer_of_image("/img/web1-" + std::string(dev) + ".vmferry-sync-1.qcow2", "qcow2"));
  }
  const Outcome refused = rig.recover(Recovery::kUndo);
  INFO(refused.message);
  CHECK(refused.error == ErrorKind::kConflict);
  CHECK(rig.world().images.contains(newest));
  rig.guest().stored = stored;
  CHECK(rig.recover(Recovery::kUndo).done());
  rig.power_on();
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("a plain move with large overlays is undone, and names the sync", "[migrate][rungs]") {
  Rig rig(all_ways().front());
  rig.request.overlay_max = 1;
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.hint.find("vmferry sync") != std::string::npos);
  CHECK(rig.problems_if_untouched() == Problems());
}

}  // namespace vmferry::test
