// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_warm.h"
#include "tests/unit/text_file.h"

// Warm moves that end on another host.

namespace vmferry::test {
namespace {

/// Of `names`, those that are steps of the plan, in its order.
std::vector<std::string> order_of(const Plan& plan, const std::set<std::string>& names) {
  std::vector<std::string> order;
  for (const Step& step : plan.steps) {
    if (names.contains(step.name)) {
      order.push_back(step.name);
    }
  }
  return order;
}

/// The image of vda in the definition that was kept of the source.
std::string kept_image(const Rig& rig) {
  for (const auto& entry : std::filesystem::directory_iterator(rig.state_dir())) {
    if (entry.path().extension() == ".xml") {
      return read_definition(read_text(entry.path())).disks.front().chain.front().image;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("a warm move ends on another host", "[migrate][sync]") {
  for (const WayUnderTest& way : warm_ways()) {
    for (const bool offline : {false, true}) {
      for (const bool keeps : {false, true}) {
        INFO(way.name << ", offline: " << offline << ", definition kept: " << keeps);
        Rig rig(way);
        sync_four_times(rig);
        rig.request.to = rig.beta().facts.uri;
        rig.request.keep_source_definition = keeps;
        rig.request.mode = offline ? MigrateMode::kOffline : MigrateMode::kAuto;
        run_well(rig, rig.plan_cutover());
        CHECK_FALSE(rig.sync_state());
        CHECK(rig.beta().domains.at(kGuestName).active());
        CHECK(problems_if_moved_warm(rig) == Problems());
      }
    }
  }
}

TEST_CASE("a guest that is off goes to another host at the end of its warm move",
          "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  let_write(rig);
  rig.power_off();
  rig.request.to = rig.beta().facts.uri;
  run_well(rig, rig.plan_cutover());
  CHECK_FALSE(rig.guest_runs());
  CHECK(problems_if_moved_warm(rig) == Problems());
}

TEST_CASE("the warm move ends where the old host is needed no more", "[migrate][sync]") {
  Rig rig(way_named("from RBD to another pool, live"));
  run_well(rig, rig.plan_sync());
  rig.request.to = rig.beta().facts.uri;
  rig.request.delete_source = true;
  const std::set<std::string> ends = {"end-warm-move", "migrate-shared", "undefine-source",
                                      "delete-source"};
  CHECK(order_of(rig.plan_cutover(), ends) ==
        std::vector<std::string>{"end-warm-move", "migrate-shared", "undefine-source",
                                 "delete-source"});
  rig.request.mode = MigrateMode::kOffline;
  CHECK(order_of(rig.plan_cutover(), ends) ==
        std::vector<std::string>{"undefine-source", "end-warm-move", "delete-source"});
}

TEST_CASE("the definition that is kept names what is left of the old disks", "[migrate][sync]") {
  for (const bool offline : {false, true}) {
    Rig rig(all_ways().front());
    run_well(rig, rig.plan_sync());
    rig.request.to = rig.beta().facts.uri;
    rig.request.mode = offline ? MigrateMode::kOffline : MigrateMode::kAuto;
    run_well(rig, rig.plan_cutover());
    CHECK(kept_image(rig) == (offline ? "/img/web1-vda.vmferry-sync-1.qcow2" : "/img/web1.img"));
    CHECK(rig.world().images.contains(kept_image(rig)));
  }
}

TEST_CASE("a guest that cannot leave at the end of its warm move runs here on its volumes",
          "[migrate][sync]") {
  for (const bool stays : {true, false}) {
    Rig rig(all_ways().front());
    run_well(rig, rig.plan_sync());
    rig.request.to = rig.beta().facts.uri;
    const Plan plan = rig.plan_cutover();
    rig.world().arm(1, Fault::kFailBefore, "alpha: migrate");
    const Outcome outcome = rig.run(plan);
    rig.world().arm(0, Fault::kNone);
    CHECK(outcome.error);
    CHECK(outcome.hint.find("depends on its new disks already") != std::string::npos);
    CHECK(outcome.hint.find("--recover --stay web1") != std::string::npos);
    CHECK(rig.guest().active());
    CHECK_FALSE(rig.sync_state());
    CHECK(rig.recover(Recovery::kUndo).hint.find("--recover --stay web1") != std::string::npos);
    CHECK(rig.recover(stays ? Recovery::kStay : Recovery::kAuto).done());
    if (stays) {
      rig.request.to.clear();
    }
    CHECK(problems_if_moved_warm(rig) == Problems());
  }
}

TEST_CASE("what keeps a guest from leaving is said before its warm move ends", "[migrate][sync]") {
  const auto refusal = [](const std::function<void(Rig&)>& act) {
    Rig rig(all_ways().front());
    run_well(rig, rig.plan_sync());
    rig.request.to = rig.beta().facts.uri;
    act(rig);
    return failed_checks_of(rig.plan_cutover());
  };
  CHECK(refusal([](Rig&) {}).empty());
  CHECK(refusal([](Rig& rig) { rig.beta().secrets.clear(); }).find("secret on beta") !=
        std::string::npos);
  CHECK(refusal([](Rig& rig) {
          rig.beta().secrets.clear();
          rig.request.define_secret = true;
        }).empty());
  CHECK(refusal([](Rig& rig) {
          rig.guest().migration_blockers = {"it is pinned"};
        }).find("with --offline") != std::string::npos);
}

TEST_CASE("the other host gets the secret at the end of a warm move", "[migrate][sync]") {
  for (const bool offline : {false, true}) {
    INFO("offline: " << offline);
    Rig rig(all_ways().front());
    rig.beta().secrets.clear();
    run_well(rig, rig.plan_sync());
    rig.request.to = rig.beta().facts.uri;
    rig.request.define_secret = true;
    rig.request.mode = offline ? MigrateMode::kOffline : MigrateMode::kAuto;
    run_well(rig, rig.plan_cutover());
    CHECK(rig.beta().secrets.at(kSecretUuid) == kSecretKey);
    CHECK(problems_if_moved_warm(rig) == Problems());
  }
}

TEST_CASE("a sync goes to no other host", "[migrate][sync]") {
  Rig rig(all_ways().front());
  rig.request.to = rig.beta().facts.uri;
  CHECK(failed_checks_of(rig.plan_sync()).find("vmferry cutover --to") != std::string::npos);
}

TEST_CASE("from every moment of a cutover to another host it can end by staying",
          "[faults][sweep][sync]") {
  const WarmCase warm{all_ways().front(), WarmRunKind::kAway};
  Rig undisturbed(warm.way);
  const Plan whole = prepared(undisturbed, warm.kind);
  undisturbed.world().arm(0, Fault::kNone);
  run_well(undisturbed, whole);
  const std::vector<std::string> calls = undisturbed.world().log();
  for (unsigned n = 1; n <= calls.size(); ++n) {
    if (!changes_something(calls[n - 1])) {
      continue;
    }
    Rig rig(warm.way);
    const Plan plan = prepared(rig, warm.kind);
    rig.request.delete_source = false;
    rig.world().arm(n, Fault::kKillBefore);
    rig.run(plan);
    INFO("killed at " << n << ": " << rig.world().where());
    rig.world().arm(0, Fault::kNone);
    if (!rig.has_journal()) {
      continue;
    }
    const Outcome outcome = rig.recover(Recovery::kStay);
    INFO("staying says: " << outcome.message << " hint: " << outcome.hint);
    if (outcome.done()) {
      rig.request.to.clear();
    } else {
      rig.request.delete_source = true;
      CHECK(rig.recover(Recovery::kFinish).done());
    }
    CHECK_FALSE(rig.sync_state());
    CHECK(problems_if_moved_warm(rig) == Problems());
  }
}

}  // namespace vmferry::test
