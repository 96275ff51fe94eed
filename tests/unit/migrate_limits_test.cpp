// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// Limits of room and time, and what a run leaves alone.

namespace vmferry::test {

using namespace std::chrono_literals;
using Problems = std::vector<std::string>;

TEST_CASE("a guest that writes more than its overlay may hold is left alone", "[faults]") {
  Rig rig(way_named("staged here"));
  rig.request.overlay_max = 1;
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.hint.find("--overlay-max") != std::string::npos);
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("a guest does not fill the file system that its overlays are on", "[faults]") {
  for (const char* call : {"copy_in", "alpha: block_copy"}) {
    Rig rig(way_named("staged here"));
    rig.patience.watch = 1ms;
    // The copy lasts; meanwhile somebody, or the guest, takes all but little of the room.
    rig.world().arm(std::string(call) == "copy_in" ? 1 : 0, Fault::kHang, call);
    rig.world().stuck = true;
    rig.world().hook = [&](unsigned, const std::string& what) {
      if (what == call) {
        rig.world().room = 200 << 20;
      }
    };
    const Outcome outcome = rig.run(rig.plan_of_way());
    INFO(call << ": " << outcome.message);
    CHECK(outcome.message.find("overlay") != std::string::npos);
    CHECK(outcome.hint.find("--overlay-dir") != std::string::npos);
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("when a commit alone makes room, the lack of it is said", "[faults]") {
  Rig rig(way_named("staged here"));
  rig.world().arm(0, Fault::kNone);
  rig.world().hook = [&](unsigned, const std::string& what) {
    if (what == "alpha: commit_active") {
      rig.world().room = 200 << 20;
    }
  };
  const Outcome outcome = rig.run(rig.plan_of_way());
  CHECK(outcome.done());
  CHECK(rig.said().find("hardly room left for /img/web1-vda.vmferry-bridge") != std::string::npos);
  CHECK(rig.problems_if_moved() == Problems());
}

TEST_CASE("a copy that does not end in time is undone", "[faults]") {
  for (const char* name : {"staged here", "mirrored here", "mirrored to another host"}) {
    INFO(name);
    Rig rig(way_named(name));
    rig.request.timeout = std::chrono::seconds(1);
    rig.world().stuck = true;
    rig.patience.watch = 1ms;
    const Plan plan = rig.plan();
    rig.world().arm(0, Fault::kNone);
    const Outcome outcome = rig.run(plan);
    CHECK(outcome.message.find("--timeout") != std::string::npos);
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a rate that changes counts for a mirror that runs", "[migrate]") {
  Rig rig(way_named("mirrored here"));
  std::atomic<uint64_t> rate = 1000;
  rig.rate = [&] { return rate.load(); };
  std::atomic<unsigned> asked = 0;
  rig.world().hook = [&](unsigned, const std::string& what) {
    if (what == "alpha: block_job" && ++asked == 3) {
      rate = 2000;
    }
  };
  const Plan plan = rig.plan();
  const Outcome outcome = rig.run(plan);
  CHECK(outcome.done());
  // Each of two disks is told the first rate, and the second one.
  CHECK(std::count(rig.world().log().begin(), rig.world().log().end(), "alpha: limit_block_job") ==
        4);
  CHECK(rig.problems_if_moved() == Problems());
}

TEST_CASE("a report has the old files, and how long a guest was off", "[migrate]") {
  Rig rig(way_named("offline here, running before"));
  const Outcome outcome = rig.run(rig.plan());
  REQUIRE(outcome.done());
  CHECK(outcome.report.downtime_ms.has_value());
  REQUIRE(outcome.report.disks.size() == 2);
  REQUIRE(outcome.report.disks[0].old.has_value());
  CHECK(outcome.report.disks[0].old->path == "/img/web1.img");
  CHECK(outcome.report.disks[1].old->format == "qcow2");
  Rig deleted(way_named("staged here, old images deleted"));
  const Outcome gone = deleted.run(deleted.plan());
  REQUIRE(gone.done());
  CHECK(!gone.report.disks[0].old.has_value());
  CHECK(!gone.report.downtime_ms.has_value());
}

TEST_CASE("no guest is forced off unless that was asked for", "[faults]") {
  Rig rig(way_named("offline here, running before"));
  rig.request.shutdown_timeout = std::chrono::seconds(0);
  rig.guest().ignores_button = true;
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.hint.find("--force-off") != std::string::npos);
  CHECK(rig.problems_if_untouched() == Problems());

  rig.request.force_off = true;
  const Outcome forced = rig.run(rig.plan());
  CHECK(forced.done());
  CHECK(rig.world().guests.at(kGuestUuid).lost_power == 1);
}

TEST_CASE("the key is in nothing that is written or said", "[faults]") {
  const WayUnderTest& way =
      way_named("mirrored to another host, definition kept, paused guest, new secret");
  bool struck = true;
  for (unsigned n = 1; struck; ++n) {
    Rig rig(way);
    const Plan& plan = rig.plan_of_way();
    rig.world().arm(n, Fault::kKillAfter);
    rig.run(plan);
    struck = rig.world().struck();
    rig.world().arm(0, Fault::kNone);
    CHECK(rig.state_text().find(kSecretKey) == std::string::npos);
    if (rig.has_journal()) {
      rig.recover(Recovery::kFinish);
    }
    CHECK(rig.state_text().find(kSecretKey) == std::string::npos);
    CHECK(rig.said().find(kSecretKey) == std::string::npos);
    CHECK(rig.beta().secrets.at(kSecretUuid) == kSecretKey);
  }
}

TEST_CASE("planning changes nothing, whatever fails in it", "[faults]") {
  for (const WayUnderTest& way : all_ways()) {
    bool struck = true;
    for (unsigned n = 1; struck; ++n) {
      Rig rig(way);
      rig.world().arm(n, Fault::kFailAfter);
      try {
        const Plan plan = rig.plan();
        CHECK((!rig.world().struck() || plan.checks.size() > 1));
      } catch (const Error&) {
      }
      struck = rig.world().struck();
      rig.world().arm(0, Fault::kNone);
      INFO(way.name << ", call " << n);
      CHECK(rig.problems_if_untouched() == Problems());
    }
  }
}

}  // namespace vmferry::test
