// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "vmferry/domain.h"

// Two disks that go to two pools, one of which stops answering.

namespace vmferry::test {
namespace {

WayUnderTest to_two_pools(const std::string& name) {
  const auto way = std::find_if(all_ways().begin(), all_ways().end(),
                                [&](const WayUnderTest& one) { return one.name == name; });
  return {.name = name + ", two pools",
          .prepare = [prepare = way->prepare](auto& world, auto& request) {
            prepare(world, request);
            request.pool.clear();
            request.disks = {{"vda", {"vms", "web1-vda"}}, {"vdb", {"more", "web1-vdb"}}};
          }};
}

/// How many of the stored definition's disks are on RBD.
size_t moved_disks(Rig& rig) {
  const Domain domain = parse_domain(rig.guest().stored, "the definition");
  return static_cast<size_t>(
      std::count_if(domain.disks.begin(), domain.disks.end(),
                    [](const DomainDisk& disk) { return disk.image.is_rbd(); }));
}

/// The second pool answers until the n-th call, and again for the recovery. Answers whether the run
/// had so many.
bool run_until(const WayUnderTest& way, unsigned n) {
  Rig rig(way);
  rig.world().pools["more"] = rig.world().pools["vms"];
  const Plan plan = rig.plan();
  REQUIRE(plan.possible());
  rig.world().arm(0, Fault::kNone);
  bool came = false;
  rig.world().hook = [&](unsigned call, const std::string&) {
    if (call != n) {
      return;
    }
    came = true;
    rig.world().pools["more"].health = "it does not answer";
  };
  const Outcome outcome = rig.run(plan);
  rig.world().hook = nullptr;
  rig.world().pools["more"].health.clear();
  INFO(way.name << ", before call " << n << ": " << outcome.message << "; " << rig.said());
  const bool half_done = rig.has_journal();
  if (half_done) {
    CHECK(rig.recover(Recovery::kAuto).done());
  }
  CHECK_FALSE(rig.has_journal());
  CHECK(rig.problems_always().empty());
  const size_t moved = moved_disks(rig);
  CHECK((moved == 0 || moved == 2));
  if (outcome.done()) {
    CHECK(moved == 2);
  }
  if (!outcome.done() && !half_done) {
    CHECK(moved == 0);
  }
  return came;
}

}  // namespace

TEST_CASE("of two pools one stops answering at any moment: all or nothing has moved",
          "[faults][sweep]") {
  for (const char* name : {"staged here", "mirrored here", "offline here, running before"}) {
    unsigned n = 1;
    while (run_until(to_two_pools(name), n)) {
      n += 2;
    }
    CHECK(n > 10);
  }
}

TEST_CASE("of two pools each is looked at", "[migrate]") {
  for (const bool exists : {false, true}) {
    Rig rig(to_two_pools("staged here"));
    rig.world().pools["more"] = rig.world().pools["vms"];
    rig.world().pools["more"].exists = exists;
    if (exists) {
      rig.world().pools["more"].health = "it does not answer";
    }
    CHECK_FALSE(rig.plan().possible());
  }
}

TEST_CASE("a volume shares the base that its disk was given", "[migrate]") {
  for (const char* name : {"staged here", "offline here, running before"}) {
    const WayUnderTest& way = way_named(name);
    Rig rig({.name = name, .prepare = [&way](World& world, MigrateRequest& request) {
               way.prepare(world, request);
               world.images["rbd:vms/golden@v1"] = {.size = kDiskBytes};
               request.bases["vdb"] = "rbd:vms/golden@v1";
             }});
    const Plan plan = rig.plan();
    REQUIRE(plan.possible());
    INFO(rig.said());
    REQUIRE(rig.run(plan).done());
    CHECK(rig.world().images.at(plan.disks[0].volume.display()).base.empty());
    CHECK(rig.world().images.at(plan.disks[1].volume.display()).base == "rbd:vms/golden@v1");
  }
  Rig rig({.name = "none", .prepare = [](World& world, MigrateRequest& request) {
             way_named("staged here").prepare(world, request);
             request.bases["vdb"] = "rbd:vms/golden@v1";
           }});
  CHECK_FALSE(rig.plan().possible());
}

}  // namespace vmferry::test
