// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// Every way of a migration, with every failure at every call that it makes.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

/// So long a recovery takes until it has ended the jobs that it found.
constexpr unsigned kTicksOfUndo = 50;

std::string failed_checks(const Plan& plan) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (check.result == Check::Result::kFailed) {
      text += check.name + ": " + check.message + "\n";
    }
  }
  return text;
}

const char* name_of(Fault fault) {
  static const char* const kNames[] = {"none",       "fail before", "fail middle",
                                       "fail after", "kill before", "kill middle",
                                       "kill after", "kill late",   "hang"};
  return kNames[static_cast<int>(fault)];
}

const char* name_of(Recovery recovery) {
  static const char* const kNames[] = {"auto", "finish", "undo"};
  return kNames[static_cast<int>(recovery)];
}

/// Both endings are right as long as they are whole; which it was, the report says.
Problems problems_at_end(Rig& rig, const Outcome& outcome) {
  return outcome.report.disks.empty() ? rig.problems_if_untouched() : rig.problems_if_moved();
}

void recover_and_check(Rig& rig, Recovery recovery) {
  Outcome outcome = rig.recover(recovery);
  if (recovery == Recovery::kUndo && outcome.error == ErrorKind::kConflict) {
    // Too late for that; forward it must go.
    outcome = rig.recover(Recovery::kAuto);
    CHECK(!outcome.report.disks.empty());
  } else if (recovery != Recovery::kAuto) {
    CHECK(outcome.report.disks.empty() == (recovery == Recovery::kUndo));
  }
  INFO("recovery says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(outcome.done());
  if (outcome.done()) {
    CHECK(problems_at_end(rig, outcome) == Problems());
  }
}

/// The n-th call fails in that way. Answers whether there was something to recover from.
bool strike(const WayUnderTest& way, unsigned n, Fault fault, Recovery recovery) {
  Rig rig(way);
  const Plan& plan = rig.plan_of_way();
  rig.world().arm(n, fault);
  const Outcome outcome = rig.run(plan);
  CHECK(rig.world().struck());
  const bool pending = rig.has_journal();
  const std::string where = rig.world().where();
  rig.world().arm(0, Fault::kNone);
  INFO(way.name << ", call " << n << " (" << where << "): " << name_of(fault) << ", then "
                << name_of(recovery));
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(rig.problems_always() == Problems());
  if (outcome.done()) {
    CHECK(rig.problems_if_moved() == Problems());
  } else if (!outcome.killed && !outcome.names_recovery()) {
    CHECK(rig.problems_if_untouched() == Problems());
  } else if (pending) {
    recover_and_check(rig, recovery);
  } else {
    CHECK(outcome.killed);
  }
  CHECK(rig.said().find(kSecretKey) == std::string::npos);
  return pending;
}

bool takes_long(const std::string& call) {
  return call == "copy_in" || call == "copy_out" || call.ends_with(": migrate");
}

/// libvirt does it to the end though its client dies.
bool goes_on(const std::string& call) {
  return call.ends_with("snapshot") || call.ends_with("block_copy") ||
         call.ends_with("commit_active") || call.ends_with("pivot") ||
         call.ends_with("abort_block_job");
}

/// Every recovery that there is, where one is needed.
void strike_all(const WayUnderTest& way, unsigned n, Fault fault) {
  if (strike(way, n, fault, Recovery::kAuto)) {
    for (const Recovery recovery : {Recovery::kUndo, Recovery::kFinish}) {
      strike(way, n, fault, recovery);
    }
  }
}

/// All to raw disks.
const std::vector<WayUnderTest>& raw_ways() {
  static const std::vector<WayUnderTest> kWays = [] {
    std::vector<WayUnderTest> ways = all_ways();
    ways.insert(ways.end(), ways_on_rbd().begin(), ways_on_rbd().end());
    return ways;
  }();
  return kWays;
}

/// Undisturbed, to new disks of that format.
void check_undisturbed(const WayUnderTest& way, const std::string& format) {
  INFO(way.name);
  Rig rig(way);
  const Plan plan = rig.plan();
  CHECK(failed_checks(plan).empty());
  rig.world().arm(0, Fault::kNone);
  const Outcome outcome = rig.run(plan);
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(outcome.done());
  CHECK(rig.problems_if_moved() == Problems());
  CHECK(outcome.report.disks.size() == 2);
  for (const MigrateReport::Disk& disk : outcome.report.disks) {
    CHECK(disk.format == format);
  }
}

}  // namespace

TEST_CASE("each way ends as it should", "[migrate]") {
  for (const WayUnderTest& way : raw_ways()) {
    check_undisturbed(way, "raw");
  }
  for (const WayUnderTest& way : ways_to_qcow2()) {
    check_undisturbed(way, "qcow2");
  }
}

TEST_CASE("a death on the way to qcow2 images is recovered from", "[faults][sweep]") {
  for (const WayUnderTest& way : ways_to_qcow2()) {
    DYNAMIC_SECTION(way.name) {
      for (const unsigned n : moments_of(way)) {
        strike_all(way, n, Fault::kKillBefore);
      }
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = 1; n <= calls.size(); ++n) {
        if (takes_long(calls[n - 1])) {
          strike_all(way, n, Fault::kKillMiddle);
        }
      }
    }
  }
}

TEST_CASE("a failure at any call leaves all as it was, or is recovered from", "[faults][sweep]") {
  for (const WayUnderTest& way : raw_ways()) {
    DYNAMIC_SECTION(way.name) {
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = first_own_call(way); n <= calls.size(); ++n) {
        strike_all(way, n, Fault::kFailBefore);
        // Of what changes nothing, one failure is like the other.
        if (changes_something(calls[n - 1])) {
          strike_all(way, n, Fault::kFailAfter);
        }
      }
    }
  }
}

TEST_CASE("a death at any call is recovered from", "[faults][sweep]") {
  for (const WayUnderTest& way : raw_ways()) {
    DYNAMIC_SECTION(way.name) {
      // A death where all is as it was one call before leaves what the death there leaves.
      for (const unsigned n : moments_of(way)) {
        strike_all(way, n, Fault::kKillBefore);
      }
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = first_own_call(way); n <= calls.size(); ++n) {
        if (changes_something(calls[n - 1])) {
          strike_all(way, n, Fault::kKillAfter);
        }
      }
    }
  }
}

TEST_CASE("what libvirt does after the death of who asked for it is waited for",
          "[faults][sweep]") {
  for (const WayUnderTest& way : raw_ways()) {
    DYNAMIC_SECTION(way.name) {
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = first_own_call(way); n <= calls.size(); ++n) {
        if (goes_on(calls[n - 1])) {
          strike_all(way, n, Fault::kKillLate);
        }
      }
    }
  }
}

TEST_CASE("a pivot that libvirt begins only when a recovery has looked ends the move",
          "[faults][sweep]") {
  for (const WayUnderTest& way : raw_ways()) {
    DYNAMIC_SECTION(way.name) {
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = first_own_call(way); n <= calls.size(); ++n) {
        if (!calls[n - 1].ends_with("pivot")) {
          continue;
        }
        for (unsigned ticks = 1; ticks < kTicksOfUndo; ++ticks) {
          INFO(way.name << ", call " << n << ": killed, and done after " << ticks << " ticks");
          Rig rig(way);
          const Plan& plan = rig.plan_of_way();
          rig.world().late_ticks = rig.world().unseen_ticks = ticks;
          rig.world().arm(n, Fault::kKillLate);
          CHECK(rig.run(plan).killed);
          rig.world().arm(0, Fault::kNone);
          recover_and_check(rig, Recovery::kAuto);
        }
      }
    }
  }
}

TEST_CASE("a recovery that fails on its way forward says so, and has tried once", "[faults]") {
  const WayUnderTest& way = way_named("staged, then to another host");
  const std::vector<std::string> calls = calls_of(way);
  const auto leaves = std::find(calls.begin(), calls.end(), "alpha: migrate");
  REQUIRE(leaves != calls.end());
  Rig rig(way);
  const Plan& plan = rig.plan_of_way();
  rig.world().arm(static_cast<unsigned>(leaves - calls.begin()) + 1, Fault::kKillBefore);
  CHECK(rig.run(plan).killed);
  rig.world().arm(1, Fault::kFailBefore, "alpha: migrate");
  const Outcome outcome = rig.recover(Recovery::kAuto);
  CHECK_FALSE(outcome.done());
  CHECK(outcome.names_recovery());
  rig.world().arm(0, Fault::kNone);
  recover_and_check(rig, Recovery::kAuto);
}

TEST_CASE("a failure or death in the middle of a copy is recovered from", "[faults][sweep]") {
  for (const WayUnderTest& way : raw_ways()) {
    DYNAMIC_SECTION(way.name) {
      const std::vector<std::string> calls = calls_of(way);
      for (const Fault fault : {Fault::kFailMiddle, Fault::kKillMiddle}) {
        for (unsigned n = first_own_call(way); n <= calls.size(); ++n) {
          if (takes_long(calls[n - 1])) {
            strike_all(way, n, fault);
          }
        }
      }
    }
  }
}

}  // namespace vmferry::test
