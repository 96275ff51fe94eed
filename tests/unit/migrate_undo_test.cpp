// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// Undoing: the guest first, then what was made for it; and what cannot be removed is named.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

/// Stopped at the call `at`; then the first `removal` fails, and all is recovered from.
void check_left_over(const std::string& way_name, const std::string& at, const std::string& removal,
                     const std::string& command) {
  INFO(way_name);
  const auto way = std::find_if(all_ways().begin(), all_ways().end(),
                                [&](const WayUnderTest& one) { return one.name == way_name; });
  Rig rig(*way);
  const Plan plan = rig.plan();
  const DomainData before = rig.guest();
  std::stop_source stop;
  rig.world().arm(1, Fault::kFailBefore, removal);
  rig.world().hook = [&](unsigned, const std::string& call) {
    if (call == at) {
      stop.request_stop();
    }
    // The guest has its old disks before anything is removed.
    if (call == "remove_volume" || call == "remove_file") {
      CHECK(rig.guest().running == before.running);
    }
  };
  const Outcome outcome = rig.run(plan, stop.get_token());
  CHECK(outcome.error == ErrorKind::kCancelled);
  CHECK(rig.world().struck());
  INFO(outcome.hint);
  CHECK(outcome.hint.find(command) != std::string::npos);
  CHECK(outcome.names_recovery());
  CHECK(rig.guest().stored == before.stored);
  rig.world().hook = {};
  rig.world().arm(0, Fault::kNone);
  CHECK(rig.recover(Recovery::kAuto).done());
  CHECK(rig.problems_if_untouched() == Problems());
}

}  // namespace

TEST_CASE("the guest is put back first, and what cannot be removed is named", "[migrate]") {
  check_left_over("staged here", "alpha: block_copy", "remove_volume", "rbd rm vms/web1-vda");
  check_left_over("staged here", "alpha: block_copy", "remove_file", "rm /img/web1-vd");
  check_left_over("mirrored here", "alpha: block_copy", "remove_volume", "rbd rm vms/web1-vda");
  check_left_over("back to files, live", "alpha: block_copy", "remove_file", "rm /back/web1-vda.");
  check_left_over("back to files, mirrored", "alpha: block_copy", "remove_file",
                  "rm /back/web1-vda.raw");
}

TEST_CASE("what can be removed is removed, whatever else cannot", "[migrate]") {
  Rig rig(all_ways().front());
  const Plan plan = rig.plan();
  std::stop_source stop;
  rig.world().arm(1, Fault::kFailBefore, "remove_volume");
  rig.world().hook = [&](unsigned, const std::string& call) {
    if (call == "alpha: block_copy") {
      stop.request_stop();
    }
  };
  CHECK(rig.run(plan, stop.get_token()).error == ErrorKind::kCancelled);
  CHECK(rig.world().images.contains("rbd:vms/web1-vda"));
  CHECK_FALSE(rig.world().images.contains("rbd:vms/web1-vdb"));
}

TEST_CASE("a volume that QEMU was left with is closed before it is removed", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name != "mirrored here" && way.name != "staged here") {
      continue;
    }
    INFO(way.name);
    Rig rig(way);
    std::stop_source stop;
    rig.world().hook = [&](unsigned, const std::string& call) {
      if (call != "alpha: block_copy") {
        return;
      }
      rig.world().left_open.insert("rbd:vms/web1-vda");
      stop.request_stop();
    };
    CHECK(rig.run(rig.plan(), stop.get_token()).error == ErrorKind::kCancelled);
    CHECK_FALSE(rig.has_journal());
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a client that died is waited for, and one that stays is named", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    const bool here = way.name == "mirrored here" || way.name == "staged here" ||
                      way.name == "staged, then to another host";
    if (!here) {
      continue;
    }
    for (const unsigned looks : {0U, 3U, 100'000U}) {
      INFO(way.name << ", seen for " << looks);
      Rig rig(way);
      rig.world().ghosts = looks;
      CHECK(rig.run(rig.plan()).done());
      const bool named = rig.said().find("is open in another client as well") != std::string::npos;
      CHECK(named == (looks == 100'000U));
    }
  }
}

}  // namespace vmferry::test
