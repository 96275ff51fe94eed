// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// A guest that cannot leave its host: its disks are moved, and the run ends there.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

const WayUnderTest& staged_away() {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name == "staged, then to another host") {
      return way;
    }
  }
  throw std::logic_error("no such way");
}

/// Ends with moved disks on alpha, or, for a guest that has left, on beta.
void end_by_staying(Rig& rig) {
  const Outcome outcome = rig.recover(Recovery::kStay);
  INFO("staying says: " << outcome.message << " hint: " << outcome.hint);
  if (outcome.error == ErrorKind::kConflict) {
    CHECK(outcome.names_recovery());
    CHECK(rig.recover(Recovery::kFinish).done());
  } else {
    CHECK(outcome.done());
    rig.request.to.clear();
  }
  CHECK(rig.problems_if_moved() == Problems());
}

}  // namespace

TEST_CASE("a guest that cannot leave can stay with its new disks", "[migrate]") {
  Rig rig(staged_away());
  rig.world().arm(1, Fault::kFailBefore, "alpha: migrate");
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.error);
  CHECK(outcome.hint.find("--recover --stay web1") != std::string::npos);
  CHECK(rig.recover(Recovery::kUndo).hint.find("--recover --stay web1") != std::string::npos);
  rig.world().arm(0, Fault::kNone);
  end_by_staying(rig);
  CHECK(rig.alpha().domains.contains(kGuestName));
  CHECK_FALSE(rig.beta().domains.contains(kGuestName));
}

TEST_CASE("only a staged move to another host can end by staying", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name == "staged, then to another host") {
      continue;
    }
    INFO(way.name);
    Rig rig(way);
    rig.world().arm(first_own_call(way) + 3, Fault::kKillBefore);
    rig.run(rig.plan_of_way());
    rig.world().arm(0, Fault::kNone);
    if (!rig.has_journal()) {
      continue;
    }
    CHECK(rig.recover(Recovery::kStay).error == ErrorKind::kConflict);
    CHECK(rig.recover(Recovery::kAuto).done());
  }
}

TEST_CASE("from every moment of a move to another host it can end by staying", "[faults][sweep]") {
  const std::vector<std::string> calls = calls_of(staged_away());
  for (unsigned n = 1; n <= calls.size(); ++n) {
    if (!changes_something(calls[n - 1])) {
      continue;
    }
    Rig rig(staged_away());
    rig.world().arm(n, Fault::kKillBefore);
    rig.run(rig.plan_of_way());
    INFO("killed at " << n << ": " << rig.world().where());
    rig.world().arm(0, Fault::kNone);
    if (rig.has_journal()) {
      end_by_staying(rig);
    }
  }
}

}  // namespace vmferry::test
