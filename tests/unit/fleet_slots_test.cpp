// SPDX-License-Identifier: LGPL-2.1-or-later
#include <set>
#include <vector>

#include "lib/fleet/ledger.h"
#include "lib/fleet/slots.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_model.h"

namespace vmferry::test {
namespace {

using fleet::JobSlots;
using fleet::RunningJob;

RunningJob running_job(unsigned number, const JobSlots& slots, const std::string& host,
                       const std::string& target_host = {}) {
  return {.number = number,
          .slots = slots,
          .host = host,
          .target_host = target_host,
          .worker = "w",
          .progress = {}};
}

/// A fleet in the model whose jobs all go to one host.
struct SlotFleet {
  explicit SlotFleet(unsigned hosts, unsigned jobs) {
    FleetPlan plan = model_plan(hosts, jobs);
    for (FleetJob& job : plan.jobs) {
      job.to = "qemu+ssh://t/system";
      job.target_host = "t";
    }
    ObjectChange change = fleet::new_fleet(plan, "first");
    change.create = true;
    REQUIRE(object.change(change) == Changed::kDone);
    for (fleet::Ledger* ledger : {&one, &other}) {
      const std::string& who = ledger->who();
      REQUIRE(ledger->enter({.id = who, .host = "h1", .since = 0, .waiting = {}},
                            std::chrono::seconds(30)));
    }
  }
  FleetModel model{1};
  ModelObject object{model, "admin"};
  ModelObject one_object{model, "one"};
  ModelObject other_object{model, "other"};
  fleet::Ledger one{one_object, "fleet", "one"};
  fleet::Ledger other{other_object, "fleet", "other"};
};

}  // namespace

TEST_CASE("every slot that is free is chosen, and no other", "[fleet]") {
  FleetLimits limits;
  limits.jobs = 5;
  limits.jobs_per_host = 2;
  const std::vector<RunningJob> running = {
      running_job(1, {.of_fleet = 1, .of_host = 2}, "h1"),
      running_job(2, {.of_fleet = 4, .of_host = 1, .of_target = 1}, "h2", "t")};
  std::set<unsigned> chosen;
  for (unsigned random = 0; random < 12; ++random) {
    const auto slots = fleet::free_slots(running, limits, "h1", "t", {}, random);
    REQUIRE(slots);
    chosen.insert(slots->of_fleet);
    CHECK(slots->of_host == 1);
    CHECK(slots->of_target == 2);
  }
  CHECK(chosen == std::set<unsigned>{2, 3, 5});
  CHECK(fleet::free_slots(running, limits, "h3", "", {}, 0)->of_target == 0);

  const JobSlots before = {.of_fleet = 3, .of_host = 2, .of_target = 2};  // one is not free
  CHECK(fleet::free_slots(running, limits, "h1", "t", before, 0)->of_fleet == 3);
  CHECK(fleet::free_slots(running, limits, "h1", "t", before, 0)->of_host == 1);

  limits.jobs_per_target_host = 1;
  CHECK_FALSE(fleet::free_slots(running, limits, "h1", "t", {}, 0));
  CHECK(fleet::free_slots(running, limits, "h1", "", {}, 0));
  limits.jobs_per_host = 1;
  CHECK_FALSE(fleet::free_slots(running, limits, "h2", "", {}, 0));
  limits.jobs = 2;
  CHECK_FALSE(fleet::free_slots(running, limits, "h3", "", {}, 0));
}

TEST_CASE("claims conflict where they want the same slot, and only there", "[fleet]") {
  SlotFleet fleet(2, 6);
  const fleet::FleetFacts facts = fleet.other.facts();  // as it is before the other's claim
  const JobSlots first = {.of_fleet = 1, .of_host = 1, .of_target = 1};
  const auto job = fleet.one.claim(fleet.one.facts(), 1, first);
  REQUIRE(job);
  CHECK_FALSE(fleet.other.claim(facts, 3, {.of_fleet = 1, .of_host = 2, .of_target = 2}));
  CHECK_FALSE(fleet.other.claim(facts, 3, {.of_fleet = 2, .of_host = 1, .of_target = 2}));
  CHECK_FALSE(fleet.other.claim(facts, 3, {.of_fleet = 2, .of_host = 2, .of_target = 1}));
  CHECK_FALSE(fleet.other.claim(facts, 1, {.of_fleet = 2, .of_host = 2, .of_target = 2}));
  REQUIRE(fleet.other.claim(facts, 3, {.of_fleet = 2, .of_host = 2, .of_target = 2}));

  const fleet::JobEnding ending = {
      .state = FleetJobState::kDone, .error = {}, .hint = {}, .record = "{}"};
  REQUIRE(fleet.one.end(*job, ending, 0));
  CHECK(fleet.other.claim(facts, 5, first));
  CHECK(fleet.one.facts().count.left == std::map<unsigned, unsigned>{{1, 2}});  // both hosts
}

TEST_CASE("a wave ends with the last job of its last host", "[fleet]") {
  SlotFleet fleet(2, 2);
  const JobSlots first = {.of_fleet = 1, .of_host = 1, .of_target = 1};
  const fleet::JobEnding ending = {
      .state = FleetJobState::kFailed, .error = "no", .hint = {}, .record = {}};
  REQUIRE(fleet.one.end(*fleet.one.claim(fleet.one.facts(), 1, first), ending, 0));
  CHECK(fleet.one.facts().count.left == std::map<unsigned, unsigned>{{1, 1}});
  CHECK(fleet.one.facts().failures == 1);
  REQUIRE(fleet.one.end(*fleet.one.claim(fleet.one.facts(), 2, first), ending, 2));
  CHECK(fleet.one.facts().count.left.empty());
  CHECK(fleet.one.facts().control.state == "stopped");
  fleet::command(fleet.one, FleetCommand::kRetry, "");
  CHECK(fleet.one.facts().count.left == std::map<unsigned, unsigned>{{1, 2}});
  CHECK(fleet.one.facts().failures == 0);
  CHECK(fleet.one.facts().control.state == "running");
}

}  // namespace vmferry::test
