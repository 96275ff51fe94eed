// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// libvirt's daemon dies in the middle of a start: QEMU is left with the guest, which has run no
// instruction, and libvirt calls that paused.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

/// Killed in its start of the guest on `host`, of which libvirt's daemon died as well.
void die_in_start(Rig& rig, HostData& host, const std::string& call) {
  const Plan plan = rig.plan();
  rig.world().arm(1, Fault::kKillBefore, call);
  CHECK(rig.run(plan).killed);
  rig.world().arm(0, Fault::kNone);
  DomainData& domain = host.domains.at(kGuestName);
  rig.world().launch(host, domain, true);
  domain.starting = true;
}

HostData& goal_of(Rig& rig) { return rig.request.to_other_host() ? rig.beta() : rig.alpha(); }

bool starts_it(const WayUnderTest& way) {
  for (const std::string& call : calls_of(way)) {
    if (call == "alpha: start" || call == "beta: start") {
      return true;
    }
  }
  return false;
}

std::string start_at(const Rig& rig) {
  return rig.request.to_other_host() ? "beta: start" : "alpha: start";
}

}  // namespace

TEST_CASE("a guest whose start broke off does not count as started", "[migrate]") {
  unsigned seen = 0;
  for (const WayUnderTest& way : all_ways()) {
    if (!starts_it(way)) {
      continue;
    }
    INFO(way.name);
    ++seen;
    for (const Recovery recovery : {Recovery::kAuto, Recovery::kFinish}) {
      Rig rig(way);
      die_in_start(rig, goal_of(rig), start_at(rig));
      CHECK(rig.recover(recovery).done());
      CHECK(rig.said().find("broke off before it ran") != std::string::npos);
      CHECK(rig.problems_if_moved() == Problems());
    }
    Rig rig(way);
    die_in_start(rig, goal_of(rig), start_at(rig));
    CHECK(rig.recover(Recovery::kUndo).done());
    CHECK(rig.problems_if_untouched() == Problems());
  }
  CHECK(seen >= 2);
}

TEST_CASE("a guest that a person paused is not taken for one", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    if (!starts_it(way)) {
      continue;
    }
    INFO(way.name);
    Rig rig(way);
    die_in_start(rig, goal_of(rig), start_at(rig));
    goal_of(rig).domains.at(kGuestName).starting = false;
    CHECK(rig.recover(Recovery::kAuto).done());
    CHECK(rig.said().find("broke off before it ran") == std::string::npos);
    CHECK(goal_of(rig).domains.at(kGuestName).state == DomainState::kPaused);
  }
}

}  // namespace vmferry::test
