// SPDX-License-Identifier: LGPL-2.1-or-later
#include <map>
#include <string>

#include "lib/fleet/ledger.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_model.h"

namespace vmferry::test {
namespace {

using std::chrono::seconds;

constexpr fleet::JobSlots kFirstSlots = {.of_fleet = 1, .of_host = 1};

/// A worker of the first host, as the ledger sees it.
struct EnteredWorker {
  EnteredWorker(FleetModel& model, const std::string& name)
      : object(model, name), ledger(object, "fleet", name) {
    REQUIRE(ledger.enter({.id = name, .host = "h1", .since = 0, .waiting = {}}, seconds(30)));
  }
  ModelObject object;
  fleet::Ledger ledger;
};

}  // namespace

TEST_CASE("the deaths of a job's workers count until it is tried again", "[fleet]") {
  FleetModel model(1);
  ModelObject object(model, "admin");
  fleet::Ledger admin(object, "fleet", "admin");
  ObjectChange change = fleet::new_fleet(model_plan(1, 1), "first");
  change.create = true;
  REQUIRE(object.change(change) == Changed::kDone);

  EnteredWorker first(model, "first");
  REQUIRE(first.ledger.claim(first.ledger.facts(), 1, kFirstSlots));
  EnteredWorker second(model, "second");
  REQUIRE(!second.ledger.take_over(admin.running().front()));  // it lives
  model.pass(seconds(31));
  EnteredWorker third(model, "third");
  const auto taken = third.ledger.take_over(admin.running().front());
  REQUIRE(taken);
  REQUIRE(taken->status.deaths == 1);
  REQUIRE(taken->status.attempts == 2);

  const fleet::JobEnding ending = {
      .state = FleetJobState::kFailed, .error = "no", .hint = {}, .record = {}};
  REQUIRE(third.ledger.end(*taken, ending, 0));
  REQUIRE(admin.job(1).status.deaths == 1);
  SECTION("alone") { fleet::command(admin, FleetCommand::kRetry, "g1"); }
  SECTION("with all others") { fleet::command(admin, FleetCommand::kRetry, ""); }
  REQUIRE(admin.job(1).status.deaths == 0);
  const auto again = third.ledger.claim(third.ledger.facts(), 1, kFirstSlots);
  REQUIRE(again);
  REQUIRE(again->status.attempts == 3);
  REQUIRE(again->status.deaths == 0);
}

TEST_CASE("the job of a worker that is dead can be given up, no other", "[fleet]") {
  FleetModel model(1);
  ModelObject object(model, "admin");
  fleet::Ledger admin(object, "fleet", "admin");
  ObjectChange change = fleet::new_fleet(model_plan(1, 2), "first");
  change.create = true;
  REQUIRE(object.change(change) == Changed::kDone);
  CHECK_THROWS_WITH(fleet::command(admin, FleetCommand::kGiveUp, ""),
                    Contains("no guest is named"));
  CHECK_THROWS_WITH(fleet::command(admin, FleetCommand::kGiveUp, "g1"), Contains("pending"));

  EnteredWorker worker(model, "worker");
  REQUIRE(worker.ledger.claim(worker.ledger.facts(), 1, kFirstSlots));
  CHECK_THROWS_WITH(fleet::command(admin, FleetCommand::kGiveUp, "g1"), Contains("is not dead"));
  model.pass(seconds(31));
  CHECK_THAT(fleet::command(admin, FleetCommand::kGiveUp, "g1"), Contains("left on h1"));
  const FleetJobStatus job = admin.job(1).status;
  CHECK(job.state == FleetJobState::kFailed);
  CHECK_THAT(job.hint, Contains("migrate --recover g1"));
  CHECK(admin.running().empty());
  CHECK(admin.facts().count.left == std::map<unsigned, unsigned>{{1, 1}});
}

}  // namespace vmferry::test
