// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// What other people and programs do to the machine while it moves: they save its memory, begin
// block jobs and take snapshots, put other machines in its place, or lose a host.

namespace vmferry::test {
namespace {

using Problems = std::vector<std::string>;

/// Runs the way with `event` before its n-th call.
Outcome run_with(Rig& rig, unsigned n, const std::function<void()>& event) {
  const Plan plan = rig.plan();
  rig.world().arm(0, Fault::kNone);
  rig.world().hook = [&, n](unsigned call, const std::string&) {
    if (call == n) {
      event();
    }
  };
  Outcome outcome = rig.run(plan);
  rig.world().hook = nullptr;
  return outcome;
}

/// As a person would who reads what is said.
void end_it(Rig& rig) {
  Outcome outcome;
  if (rig.has_journal()) {
    outcome = rig.recover(Recovery::kAuto);
  }
  if (rig.has_journal() && !rig.guest_runs()) {
    rig.power_on();
    outcome = rig.recover(Recovery::kAuto);
  }
  INFO("in the end: " << outcome.message << " " << outcome.hint);
  CHECK_FALSE(rig.has_journal());
}

std::set<std::string> images_of(Rig& rig) {
  std::set<std::string> names;
  for (const auto& [name, image] : rig.world().images) {
    names.insert(name);
  }
  return names;
}

DomainData* active_at_alpha(Rig& rig) {
  const auto found = rig.alpha().domains.find(kGuestName);
  const bool active = found != rig.alpha().domains.end() && found->second.active();
  return active && !found->second.has_job ? &found->second : nullptr;
}

}  // namespace

TEST_CASE("memory that is saved at any moment is not lost", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      for (const unsigned n : moments_of(way)) {
        Rig rig(way);
        bool saved = false;
        const Outcome outcome = run_with(rig, n, [&] {
          DomainData* guest = active_at_alpha(rig);
          if (!guest || !guest->ran) {
            return;
          }
          rig.power_off();
          guest->managed_save = saved = true;
        });
        INFO(way.name << ", before call " << n << ": " << outcome.message);
        end_it(rig);
        if (!saved) {
          continue;
        }
        CHECK(rig.world().guests.at(kGuestUuid).lost_power == 0);
        const DomainData* guest = rig.present();
        REQUIRE(guest);
        CHECK((guest->managed_save || guest->ran));
      }
    }
  }
}

TEST_CASE("a block job that somebody else began is neither used nor ended", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      for (const unsigned n : moments_of(way)) {
        Rig rig(way);
        bool begun = false;
        const Outcome outcome = run_with(rig, n, [&] {
          DomainData* guest = active_at_alpha(rig);
          if (!guest || guest->disks.at("vdb").job) {
            return;
          }
          rig.world().images["/img/mine.img"] = {.size = 512};
          guest->disks.at("vdb").job = Job{.goal = {layer_of_image("/img/mine.img", "raw")}};
          begun = true;
        });
        INFO(way.name << ", before call " << n << ": " << outcome.message);
        const DomainData* guest = active_at_alpha(rig);
        if (begun && guest && rig.request.mode != MigrateMode::kOffline) {
          LiveDisk& disk = rig.guest().disks.at("vdb");
          CHECK(disk.job);
          disk.job.reset();
        }
        end_it(rig);
        if (begun) {
          CHECK(rig.problems_always() == Problems());
        }
      }
    }
  }
}

TEST_CASE("what somebody makes under a new name after a death is never removed",
          "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      const Plan plan = Rig(way).plan();
      const MovingDisk& disk = plan.disks.back();
      const std::string goal = plan.request.to_files() ? disk.image.path : disk.volume.display();
      for (const unsigned n : moments_of(way)) {
        for (const Recovery how : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
          Rig rig(way);
          rig.world().arm(n, Fault::kKillMiddle);
          rig.run(rig.plan_of_way());
          rig.world().arm(0, Fault::kNone);
          if (!rig.has_journal() || rig.world().images.contains(goal)) {
            continue;
          }
          rig.world().images[goal] = {.size = 512, .own = {{1, 1}}};
          rig.world().foreign.insert(goal);
          rig.others.insert(goal);
          INFO(way.name << ", killed in call " << n << ", recovery " << static_cast<int>(how));
          rig.recover(how);
          end_it(rig);
          CHECK(rig.problems_always() == Problems());
          const auto found = rig.world().images.find(goal);
          CHECK((found != rig.world().images.end() && found->second.own == Content{{1, 1}}));
        }
      }
    }
  }
}

TEST_CASE("a snapshot that is taken meanwhile stops the run until it is deleted", "[migrate]") {
  for (const char* name : {"staged here", "staged, then to another host", "back to files, live"}) {
    Rig rig(way_named(name));
    bool taken = false;
    rig.world().hook = [&](unsigned, const std::string& call) {
      if (taken || !call.starts_with("copy_")) {
        return;
      }
      taken = true;
      rig.guest().snapshots = 1;
    };
    const Outcome outcome = rig.run(rig.plan());
    INFO(outcome.message << " " << outcome.hint);
    CHECK(outcome.error == ErrorKind::kConflict);
    CHECK(outcome.message.find("a snapshot of it was taken") != std::string::npos);
    CHECK(rig.recover(Recovery::kUndo).error == ErrorKind::kConflict);
    CHECK(rig.recover(Recovery::kFinish).error == ErrorKind::kConflict);
    rig.guest().snapshots = 0;
    CHECK(rig.recover(Recovery::kUndo).done());
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a disk of the same name that somebody puts in the place of one leaves the move",
          "[migrate]") {
  for (const char* name : {"staged here", "mirrored here", "back to files, live"}) {
    INFO(name);
    Rig rig(way_named(name));
    rig.world().images["/img/another.img"] = {.size = 512};
    const std::string old = rig.plan().disks.back().original;
    rig.world().hook = [&](unsigned, const std::string& call) {
      LiveDisk& disk = rig.guest().disks.at("vdb");
      if (!(call.starts_with("copy_") || call.starts_with("create_")) || disk.job) {
        return;
      }
      const Layer other = layer_of_image("/img/another.img", "raw");
      disk.chain = {other};
      rig.guest().running = with_image(rig.guest().running, "vdb", other);
      rig.guest().stored = with_image(rig.guest().stored, "vdb", other);
      rig.world().guests.at(kGuestUuid).wrote["vdb"] = rig.world().view("/img/another.img");
    };
    const Outcome outcome = rig.run(rig.plan());
    INFO(outcome.message << " " << outcome.hint << rig.said());
    CHECK(outcome.done());
    CHECK(rig.said().find("disk vdb was taken from the machine meanwhile") != std::string::npos);
    CHECK(rig.said().find(old) != std::string::npos);
    CHECK(rig.guest().disks.at("vdb").chain.front().image == "/img/another.img");
    CHECK(rig.guest().disks.at("vda").chain.front().image != "/img/web1.img");
    CHECK_FALSE(rig.has_journal());
  }
}

TEST_CASE("nothing is committed where an old image was replaced", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.world().arm(1, Fault::kKillAfter, "copy_in");
  CHECK(rig.run(rig.plan()).killed);
  rig.world().arm(0, Fault::kNone);
  const unsigned file = std::exchange(rig.world().images.at("/img/web1.img").file, 1000U);
  Outcome outcome = rig.recover(Recovery::kUndo);
  INFO(outcome.message << " " << outcome.hint);
  CHECK(outcome.error == ErrorKind::kConflict);
  CHECK(outcome.message.find("what the guest wrote since is in /") != std::string::npos);
  CHECK(outcome.hint.find("put the old file back") != std::string::npos);
  CHECK(rig.guest().disks.at("vda").chain.front().image != "/img/web1.img");
  rig.world().images.at("/img/web1.img").file = file;
  outcome = rig.recover(Recovery::kUndo);
  INFO(outcome.message << " " << outcome.hint);
  CHECK(outcome.done());
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("old disks that cannot be removed do not keep a move from its end", "[migrate]") {
  for (const char* call : {"remove_image", "look"}) {
    INFO(call);
    Rig rig(way_named("staged here, old images deleted"));
    const Plan plan = rig.plan();
    rig.world().arm(1, Fault::kFailBefore, call);
    const Outcome outcome = rig.run(plan);
    INFO(outcome.message);
    CHECK(outcome.done());
    CHECK(rig.said().find(" stays: ") != std::string::npos);
    CHECK_FALSE(rig.has_journal());
  }
}

TEST_CASE("another machine or host under the same name is not believed", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    INFO(way.name);
    for (const bool host : {false, true}) {
      Rig rig(way);
      const std::vector<unsigned> moments = moments_of(way);
      rig.world().arm(moments[moments.size() / 2], Fault::kKillAfter);
      rig.run(rig.plan_of_way());
      rig.world().arm(0, Fault::kNone);
      if (!rig.has_journal() || !rig.alpha().domains.contains(kGuestName)) {
        continue;
      }
      if (host) {
        rig.alpha().facts.uuid = rig.alpha().facts.hostname = "another";
      } else {
        rig.guest().uuid = "another";
      }
      const std::set<std::string> before = images_of(rig);
      for (const Recovery how : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
        CHECK(rig.recover(how).error == ErrorKind::kConflict);
      }
      CHECK(rig.has_journal());
      CHECK(images_of(rig) == before);
    }
  }
}

TEST_CASE("no boot of the old host starts a guest that has left", "[migrate]") {
  for (const char* name : {"staged, then to another host", "mirrored to another host"}) {
    INFO(name);
    for (const bool fails : {false, true}) {
      Rig rig(way_named(name));
      rig.guest().autostart = true;
      const Plan plan = rig.plan();
      bool both = false;
      rig.world().hook = [&](unsigned, const std::string&) {
        const auto there = rig.beta().domains.find(kGuestName);
        if (there == rig.beta().domains.end() || !there->second.ran) {
          return;
        }
        const auto here = rig.alpha().domains.find(kGuestName);
        both = both || (here != rig.alpha().domains.end() && here->second.autostart);
      };
      rig.world().arm(fails ? 1 : 0, Fault::kFailBefore, "alpha: migrate");
      const Outcome outcome = rig.run(plan);
      CHECK_FALSE(both);
      CHECK(outcome.done() == !fails);
      if (fails) {
        CHECK(rig.guest().autostart);
      } else {
        CHECK(rig.beta().domains.at(kGuestName).autostart);
      }
    }
  }
}

TEST_CASE("a move can be undone without the other host if the guest runs here", "[migrate]") {
  for (const char* name : {"mirrored to another host", "offline to another host, running before"}) {
    INFO(name);
    Rig rig(way_named(name));
    const bool offline = std::string(name).starts_with("offline");
    rig.world().arm(1, offline ? Fault::kKillAfter : Fault::kKillMiddle,
                    offline ? "beta: define" : "alpha: migrate");
    CHECK(rig.run(rig.plan()).killed);
    rig.world().arm(0, Fault::kNone);
    rig.beta().domains.clear();  // that host is gone
    rig.guest().has_job = false;
    const std::string to = std::exchange(rig.request.to, "");
    if (offline) {
      CHECK(rig.recover(Recovery::kUndo).error == ErrorKind::kConflict);
      rig.power_on();
    }
    const Outcome outcome = rig.recover(Recovery::kUndo);
    INFO(outcome.message << " " << outcome.hint);
    CHECK(outcome.done());
    rig.request.to = to;
    CHECK(rig.problems_if_untouched() == Problems());
  }
}

TEST_CASE("a guest that is paused there, and ran, is not taken for a half-made one", "[migrate]") {
  Rig rig(way_named("mirrored to another host"));
  rig.world().arm(1, Fault::kKillAfter, "alpha: migrate");
  CHECK(rig.run(rig.plan()).killed);
  rig.world().arm(0, Fault::kNone);
  DomainData& there = rig.beta().domains.at(kGuestName);
  for (int i = 0; i < 5; ++i) {
    rig.world().tick();
  }
  there.state = DomainState::kPaused;
  const Content newest = rig.world().images.at("rbd:vms/web1-vda").own;
  rig.world().launch(rig.alpha(), rig.guest(), true);
  rig.guest().ran = true;  // somebody resumed it, and paused it again
  for (const Recovery how : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
    const Outcome outcome = rig.recover(how);
    INFO(outcome.message << " hint: " << outcome.hint);
    CHECK(outcome.error == ErrorKind::kConflict);
    CHECK(outcome.hint.find("rbd rm") == std::string::npos);
    CHECK(there.active());
    CHECK(rig.world().images.at("rbd:vms/web1-vda").own == newest);
  }
}

}  // namespace vmferry::test
