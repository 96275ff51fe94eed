// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "vmferry/domain.h"

// Somebody edits the stored definition while its machine moves.

namespace vmferry::test {
namespace {

constexpr const char* kEdit = "<description>edited meanwhile</description>";

/// Answers whether there was a definition to edit.
bool edit(Rig& rig) {
  DomainData* domain = rig.present();
  if (!domain || domain->stored.empty()) {
    return false;
  }
  domain->stored.insert(domain->stored.rfind("</domain>"), kEdit);
  return true;
}

std::string stored_at_end(Rig& rig) {
  const DomainData* domain = rig.present();
  return domain ? domain->stored : std::string();
}

/// Runs with an edit before the n-th call; `fails` is the call that fails, if one shall. Answers
/// whether the run had so many.
bool run_with_edit(const WayUnderTest& way, unsigned n, const std::string& fails = {}) {
  Rig rig(way);
  const Plan plan = rig.plan_of_way();
  rig.world().arm(1, fails.empty() ? Fault::kNone : Fault::kFailBefore, fails);
  bool came = false;
  bool edited = false;
  const unsigned begin = rig.world().calls();
  rig.world().hook = [&](unsigned call, const std::string& what) {
    if (call != begin + n) {
      return;
    }
    came = true;
    // Between a look at a definition and its change nobody can come but here: libvirt has no call
    // that does both.
    const bool changes = what.ends_with(": define") || what.ends_with(": undefine");
    edited = !changes && edit(rig);
  };
  const Outcome outcome = rig.run(plan);
  rig.world().hook = nullptr;
  INFO(way.name << ", before call " << n << ": " << outcome.message);
  CHECK(outcome.done() == fails.empty());
  CHECK_FALSE(rig.has_journal());
  const std::string stored = stored_at_end(rig);
  CHECK((!edited || stored.find(kEdit) != std::string::npos));
  const Domain domain = parse_domain(stored, "the definition");
  for (const MovingDisk& disk : plan.disks) {
    const DomainDisk* found = domain.find_disk(disk.dev);
    REQUIRE(found);
    CHECK((found->image.display() == disk.original) == !fails.empty());
  }
  CHECK(rig.problems_always().empty());
  return came;
}

}  // namespace

TEST_CASE("an edit of the definition at any moment is kept", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      for (const unsigned n : moments_of(way)) {
        CHECK(run_with_edit(way, n));
      }
    }
  }
}

TEST_CASE("an undo takes back the disks, not what was edited", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name != "offline here, running before") {
      continue;
    }
    unsigned n = 1;
    while (run_with_edit(way, n, "alpha: start")) {
      ++n;
    }
    CHECK(n > 5);
  }
}

}  // namespace vmferry::test
