// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/rehearsal_record.h"
#include "tests/unit/catch.h"
#include "tests/unit/migrate_warm.h"

// Warm moves that end while somebody needs what they have made.

namespace vmferry::test {
namespace {

constexpr const char* kVolume = "rbd:vms/web1-vda";
constexpr const char* kClone = "rbd:vms/somebodys";

std::string warnings_in(const Plan& plan) { return checks_of(plan, Check::Result::kWarning); }

void clone_of(Rig& rig, const std::string& snapshot) {
  rig.world().images[kClone] = {.size = 4096, .base = snapshot};
  rig.others = {kClone};
}

}  // namespace

TEST_CASE("volumes stay while a rehearsal reads them", "[migrate][sync][rehearse]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  {
    const rehearsal::RehearsalRecord running(kGuestName, rig.state_dir());
    CHECK(failed_checks_of(rig.plan_stop(true)).find("a rehearsal of it runs") !=
          std::string::npos);
    CHECK(failed_checks_of(rig.plan_stop(true)).find("Ctrl-C; or leave --remove-volumes out") !=
          std::string::npos);
    CHECK(rig.plan_stop(false).possible());
    CHECK(rig.plan_cutover().possible());
    CHECK(warnings_in(rig.plan_cutover()).find("a rehearsal of it runs") != std::string::npos);
    running.write(
        {.uri = "alpha", .name = "web1-rehearsal", .uuid = "u", .ceph = {}, .volumes = {}});
  }
  CHECK(failed_checks_of(rig.plan_stop(true)).find("vmferry rehearse --clean web1 --state-dir ") !=
        std::string::npos);
  CHECK(warnings_in(rig.plan_cutover()).find("vmferry rehearse --clean web1") != std::string::npos);
  rehearsal::RehearsalRecord(kGuestName, rig.state_dir()).remove();
  CHECK(warnings_in(rig.plan_cutover()).find("rehears") == std::string::npos);
  run_well(rig, rig.plan_stop(true));
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("volumes stay while they have clones, whoever made these", "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  clone_of(rig, std::string(kVolume) + "@vmferry-sync-1");
  const std::string refusal = failed_checks_of(rig.plan_stop(true));
  CHECK(refusal.find(std::string("volume ") + kVolume + ": " + kClone + " needs its data") !=
        std::string::npos);
  CHECK(refusal.find(std::string("flatten ") + kClone) != std::string::npos);
  CHECK(rig.plan_stop(false).possible());

  SECTION("it goes") {
    rig.world().images.erase(kClone);
    rig.others.clear();
    CHECK(rig.plan_stop(true).possible());
  }
  SECTION("it is of another volume, which has the name now") {
    rig.world().images[kVolume].file += 100;
    CHECK(rig.plan_stop(true).possible());
  }
  SECTION("the cluster does not tell") {
    rig.world().arm(1, Fault::kFailBefore, "clones");
    CHECK(failed_checks_of(rig.plan_stop(true)).find("leave --remove-volumes out") !=
          std::string::npos);
  }
}

TEST_CASE("a clone that comes while a warm move is given up", "[migrate][sync]") {
  Rig rig(all_ways().front());
  run_well(rig, rig.plan_sync());
  const Plan plan = rig.plan_stop(true);
  clone_of(rig, std::string(kVolume) + "@vmferry-sync-1");
  const Outcome outcome = rig.run(plan);
  CHECK(outcome.error == ErrorKind::kConflict);
  CHECK_THAT(outcome.message, Contains(kClone));
  CHECK_THAT(outcome.hint, Contains("then: vmferry sync --recover web1"));
  CHECK(rig.world().images[kVolume].marks.contains("vmferry-sync-1"));
  CHECK(rig.guest_runs());

  rig.world().images.erase(kClone);
  rig.others.clear();
  CHECK(rig.recover(Recovery::kAuto).done());
  CHECK(rig.problems_if_untouched() == Problems());
}

}  // namespace vmferry::test
