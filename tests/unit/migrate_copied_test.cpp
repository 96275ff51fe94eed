// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// Volumes that are copies already: --rewrite-only.

namespace vmferry::test {
namespace {

const char* const kCopied = "offline here, copied before";

std::string failures_of_copied(const Plan& plan) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (check.result == Check::Result::kFailed) {
      text += check.name + ": " + check.message + "\n";
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a volume that was copied before is only named", "[migrate]") {
  Rig rig(way_named(kCopied));
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.done());
  CHECK(rig.problems_if_moved() == std::vector<std::string>());
  const auto& log = rig.world().log();
  CHECK(std::find(log.begin(), log.end(), "copy_in") == log.end());
}

TEST_CASE("a volume that holds anything else is refused, and stays", "[migrate]") {
  Rig rig(way_named(kCopied));
  rig.world().images["rbd:vms/web1-vdb"].own[7] = 99;
  const Outcome outcome = rig.run(rig.plan());
  CHECK(outcome.error == ErrorKind::kConflict);
  CHECK(outcome.message.find("it does not hold what /img/web1-data.qcow2 does") !=
        std::string::npos);
  CHECK(rig.problems_if_untouched() == std::vector<std::string>());
  CHECK(rig.world().images.contains("rbd:vms/web1-vda"));
}

TEST_CASE("without volumes of the right size nothing is only named", "[migrate]") {
  Rig rig(way_named(kCopied));
  rig.world().images["rbd:vms/web1-vda"].size = 512;
  rig.world().images.erase("rbd:vms/web1-vdb");
  const std::string failed = failures_of_copied(rig.plan());
  CHECK(failed.find("volume rbd:vms/web1-vda: it has 512 bytes, and the disk") !=
        std::string::npos);
  CHECK(failed.find("volume rbd:vms/web1-vdb: there is none") != std::string::npos);
}

TEST_CASE("a guest that runs is shut down to be only rewritten if that is asked for", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.request.rewrite_only = true;
  CHECK(failures_of_copied(rig.plan()).find("state: web1 is running") != std::string::npos);
  rig.request.mode = MigrateMode::kOffline;
  CHECK(failures_of_copied(rig.plan()).find("state") == std::string::npos);
}

}  // namespace vmferry::test
