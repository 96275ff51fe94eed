// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/migrate_warm.h"

#include <utility>

#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

constexpr WarmRunKind kRuns[] = {
    WarmRunKind::kFirst, WarmRunKind::kLater, WarmRunKind::kCutover,    WarmRunKind::kOffline,
    WarmRunKind::kStop,  WarmRunKind::kAway,  WarmRunKind::kOfflineAway};

bool is_moved(Rig& rig) {
  REQUIRE(rig.present() != nullptr);
  const DefinedDomain& stored = read_definition(rig.present()->stored);
  return stored.disks.front().chain.front().image.ends_with("/web1-vda");
}

/// Snapshots of old volumes, where it was said that they stay. They are somebody's then.
void allow_left_snapshots(Rig& rig) {
  const auto state = rig.sync_state();
  const std::string said = state ? "an old snapshot stays" : "snapshots of the syncs stay";
  if (rig.said().find(said) == std::string::npos) {
    return;
  }
  const std::string last = state ? "@" + sync_mark(state->last().number) : "none";
  for (const auto& [name, image] : rig.world().images) {
    if (name.find("@vmferry-sync-") != std::string::npos && !name.ends_with(last)) {
      rig.others.insert(name);
    }
  }
}

}  // namespace

const std::vector<WayUnderTest>& warm_ways() {
  static const std::vector<WayUnderTest> kWays = {
      all_ways().front(),
      way_named("from RBD to another pool, live"),
      {"from one volume",
       [](World& world, MigrateRequest& request) {
         way_named("from RBD to another pool, live").prepare(world, request);
         DomainData& guest = world.hosts.at("alpha").domains.at(kGuestName);
         guest.stored = without_disk(guest.stored, "vdb");
         guest.running = without_disk(guest.running, "vdb");
         guest.disks.erase("vdb");
         world.guests.at(kGuestUuid).wrote.erase("vdb");
         world.images.erase("rbd:vms/old-b");
       }},
      {"on rungs", [](World& world, MigrateRequest& request) {
         all_ways().front().prepare(world, request);
         request.overlay_max = 6 * kClusterBytes;  // its tables, and two sectors
         world.on_rungs = true;
       }}};
  return kWays;
}

std::vector<WarmCase> warm_cases() {
  std::vector<WarmCase> cases;
  for (const WayUnderTest& way : warm_ways()) {
    for (const WarmRunKind kind : kRuns) {
      if (way.name != "on rungs" || kind == WarmRunKind::kFirst) {  // which none of the others has
        cases.push_back({way, kind});
      }
    }
  }
  return cases;
}

std::string text_of(const WarmCase& warm) {
  return warm.way.name + ", run " + std::to_string(static_cast<int>(warm.kind));
}

std::string checks_of(const Plan& plan, Check::Result result) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (check.result == result) {
      text += check.name + ": " + check.message + " (" + check.hint + ")\n";
    }
  }
  return text;
}

std::string failed_checks_of(const Plan& plan) { return checks_of(plan, Check::Result::kFailed); }

void run_well(Rig& rig, const Plan& plan) {
  CHECK(failed_checks_of(plan).empty());
  const Outcome outcome = rig.run(plan);
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(outcome.done());
}

void let_write(Rig& rig) {
  for (int i = 0; i < 7; ++i) {
    rig.world().tick();
  }
}

Plan prepared(Rig& rig, WarmRunKind kind) {
  if (kind == WarmRunKind::kFirst) {
    return rig.plan_sync();
  }
  run_well(rig, rig.plan_sync());
  let_write(rig);
  if (kind == WarmRunKind::kAway || kind == WarmRunKind::kOfflineAway) {
    rig.request.to = rig.beta().facts.uri;
  }
  switch (kind) {
    case WarmRunKind::kOfflineAway:
    case WarmRunKind::kOffline:
      rig.request.mode = MigrateMode::kOffline;
      return rig.plan_cutover();
    case WarmRunKind::kAway:
    case WarmRunKind::kCutover:
      rig.request.delete_source = true;  // the last step, when the state of the warm move is gone
      return rig.plan_cutover();
    case WarmRunKind::kStop:
      return rig.plan_stop(true);
    default:
      return rig.plan_sync();
  }
}

void sync_here(Rig& rig) {
  const std::string to = std::exchange(rig.request.to, "");
  run_well(rig, rig.plan_sync());
  rig.request.to = to;
}

void sync_four_times(Rig& rig) {
  for (unsigned round = 1; round <= 4; ++round) {
    run_well(rig, rig.plan_sync());
    rig.request.overlay_max = uint64_t{32} << 30;  // of the later ones
    REQUIRE(rig.sync_state());
    CHECK(rig.sync_state()->last().number == round);
    let_write(rig);
    if (round % 2 == 0) {
      CHECK(rig.problems_if_synced() == Problems());  // and the guest is started anew
    }
  }
}

Problems problems_if_moved_warm(Rig& rig) {
  for (const auto& [name, image] : rig.world().images) {
    if (name.find(".vmferry-sync-") != std::string::npos) {
      rig.others.insert(name);  // an offline cutover leaves it, over the old image
    }
  }
  allow_left_snapshots(rig);
  for (const auto& [name, image] : rig.world().images) {
    if (!image.marks.empty() &&
        rig.said().find("snapshots of the syncs stay") == std::string::npos) {
      rig.world().wrong(name + " has marks still");
    }
  }
  return rig.problems_if_moved();
}

void check_whole(Rig& rig) {
  const bool was_offline = rig.request.mode == MigrateMode::kOffline;
  if (!rig.sync_state()) {
    allow_left_snapshots(rig);
    CHECK((is_moved(rig) ? problems_if_moved_warm(rig) : rig.problems_if_untouched()) ==
          Problems());
    return;
  }
  {
    const std::set<std::string> others = rig.others;
    allow_left_snapshots(rig);
    CHECK(rig.problems_if_synced() == Problems());
    rig.others = others;
  }
  let_write(rig);
  rig.request.overlay_max = uint64_t{32} << 30;
  sync_here(rig);
  CHECK(rig.problems_if_synced() == Problems());
  let_write(rig);
  rig.request.mode = was_offline ? MigrateMode::kOffline : MigrateMode::kAuto;
  run_well(rig, rig.plan_cutover());
  CHECK_FALSE(rig.sync_state());
  CHECK(problems_if_moved_warm(rig) == Problems());
}

}  // namespace vmferry::test
