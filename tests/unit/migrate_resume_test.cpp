// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// A run that died while it copied: a recovery goes on with the copy where that is less work.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

constexpr const char* kCopyingWays[] = {
    "staged here",
    "staged, then to another host",
    "offline here, running before",
    "offline to another host, shut off before",
    "back to files, live",
    "back to files, offline, old volumes deleted",
};

std::string copying_call(const std::string& way) {
  return way.starts_with("back to ") ? "copy_out" : "copy_in";
}

/// Of all disks, in the report.
uint64_t kept_bytes(const Outcome& outcome) {
  uint64_t sum = 0;
  for (const MigrateReport::Disk& disk : outcome.report.disks) {
    sum += disk.copy.kept_bytes;
  }
  return sum;
}

/// A run that died in the middle of its n-th copy.
struct Dead {
  explicit Dead(const std::string& way, unsigned n = 1, bool with_checkpoint = true)
      : rig(way_named(way)) {
    const Plan& plan = rig.plan_of_way();
    rig.world().makes_checkpoints = with_checkpoint;
    rig.world().arm(n, Fault::kKillMiddle, copying_call(way));
    CHECK(rig.run(plan).killed);
    rig.world().arm(0, Fault::kNone);
    rig.world().makes_checkpoints = true;
  }
  Rig rig;
};

}  // namespace

TEST_CASE("a copy that died after a checkpoint is gone on with", "[migrate]") {
  for (const std::string way : kCopyingWays) {
    for (const unsigned n : {1, 2}) {
      INFO(way << ", killed in copy " << n);
      Dead dead(way, n);
      const Outcome outcome = dead.rig.recover(Recovery::kAuto);
      INFO(outcome.message << " hint: " << outcome.hint);
      CHECK(outcome.done());
      CHECK(kept_bytes(outcome) > 0);
      CHECK(dead.rig.problems_if_moved() == Problems());
    }
  }
}

TEST_CASE("a copy that could be gone on with is undone if that is wanted", "[migrate]") {
  for (const std::string way : kCopyingWays) {
    INFO(way);
    Dead dead(way);
    const Outcome outcome = dead.rig.recover(Recovery::kUndo);
    CHECK(outcome.done());
    CHECK(outcome.report.end == MigrateReport::End::kUndone);
    CHECK(dead.rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a copy that died before its first checkpoint is undone", "[migrate]") {
  for (const std::string way : kCopyingWays) {
    INFO(way);
    Dead dead(way, 1, false);
    const Outcome outcome = dead.rig.recover(Recovery::kAuto);
    CHECK(outcome.done());
    CHECK(outcome.report.end == MigrateReport::End::kUndone);
    CHECK(dead.rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("of a copy to qcow2 that died nothing can be kept", "[migrate]") {
  for (const std::string way : {"back to qcow2 files, live", "back to qcow2 files, offline"}) {
    for (const Recovery how : {Recovery::kAuto, Recovery::kFinish}) {
      INFO(way);
      Dead dead(way);
      const Outcome outcome = dead.rig.recover(how);
      INFO(outcome.message << " hint: " << outcome.hint);
      CHECK(outcome.done());
      CHECK(kept_bytes(outcome) == 0);
      CHECK((how == Recovery::kAuto ? dead.rig.problems_if_untouched()
                                    : dead.rig.problems_if_moved()) == Problems());
    }
  }
}

TEST_CASE("what was copied counts as begun, whatever the next disk has", "[migrate]") {
  Dead dead("staged here", 2, false);
  const Outcome outcome = dead.rig.recover(Recovery::kAuto);
  CHECK(outcome.report.end == MigrateReport::End::kMoved);
  CHECK(kept_bytes(outcome) == 0);
  CHECK(dead.rig.problems_if_moved() == Problems());
}

TEST_CASE("a copy of what has changed since begins anew", "[migrate]") {
  for (const Recovery how : {Recovery::kAuto, Recovery::kFinish}) {
    Dead dead("offline here, running before");
    dead.rig.power_on();
    for (unsigned moment = 0; moment < 4 * kSectors; ++moment) {
      dead.rig.world().tick();
    }
    dead.rig.power_off();
    const Outcome outcome = dead.rig.recover(how);
    INFO(outcome.message << " hint: " << outcome.hint);
    CHECK(outcome.done());
    CHECK(kept_bytes(outcome) == 0);
    if (how == Recovery::kAuto) {
      CHECK(dead.rig.problems_if_untouched() == Problems());
    } else {
      CHECK(dead.rig.problems_if_moved() == Problems());
    }
  }
}

TEST_CASE("a guest that was started again is not stopped for its copy", "[migrate]") {
  Dead dead("offline here, running before");
  dead.rig.power_on();
  const Outcome outcome = dead.rig.recover(Recovery::kAuto);
  CHECK(outcome.report.end == MigrateReport::End::kUndone);
  CHECK(dead.rig.problems_if_untouched() == Problems());
}

TEST_CASE("a run that fails in its copy is undone at once", "[migrate]") {
  for (const std::string way : kCopyingWays) {
    INFO(way);
    Rig rig(way_named(way));
    const Plan& plan = rig.plan_of_way();
    rig.world().arm(1, Fault::kFailMiddle, copying_call(way));
    CHECK(rig.run(plan).error == ErrorKind::kIo);
    CHECK_FALSE(rig.has_journal());
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a recovery that dies in the copy is itself gone on with", "[migrate]") {
  Dead dead("staged here");
  dead.rig.world().arm(1, Fault::kKillMiddle, "copy_in");
  CHECK(dead.rig.recover(Recovery::kAuto).killed);
  dead.rig.world().arm(0, Fault::kNone);
  const Outcome outcome = dead.rig.recover(Recovery::kAuto);
  CHECK(outcome.done());
  CHECK(kept_bytes(outcome) > 0);
  CHECK(dead.rig.problems_if_moved() == Problems());
}

}  // namespace vmferry::test
