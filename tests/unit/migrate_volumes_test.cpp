// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// From volumes to volumes: which disks move, and what becomes of the old volumes.

namespace vmferry::test {
namespace {

using Texts = std::vector<std::string>;

const WayUnderTest& live() { return way_named("from RBD to another pool, live"); }

/// The disks that move, by their new volumes.
Texts goals_of(const Plan& plan) {
  Texts goals;
  for (const MovingDisk& disk : plan.disks) {
    goals.push_back(disk.volume.display());
  }
  return goals;
}

std::string message_of_check(const Plan& plan, const std::string& name) {
  for (const Check& check : plan.checks) {
    if (check.name == name) {
      return check.message;
    }
  }
  return {};
}

/// vdb is on a file of that host.
void put_second_on_file(World& world, MigrateRequest& request) {
  live().prepare(world, request);
  const std::string path = "/img/data.img";
  world.images[path] = {.size = kDiskBytes, .own = world.images.at("rbd:vms/old-b").own};
  DomainData& guest = world.hosts.at("alpha").domains.at(kGuestName);
  world.stop(guest);
  guest.stored = with_image(guest.stored, "vdb", layer_of_image(path, "raw"));
}

}  // namespace

TEST_CASE("disks on RBD move to another pool", "[migrate]") {
  Rig rig(live());
  const Plan plan = rig.plan();
  CHECK(plan.possible());
  CHECK(goals_of(plan) == Texts{"rbd:fast/web1-vda", "rbd:fast/web1-vdb"});
  CHECK(plan.disks[0].overlay == "/var/lib/libvirt/images/web1-vda.vmferry-overlay.qcow2");
  CHECK(plan.steps[0].text == "freeze the volumes: the guest writes to overlays");
  CHECK(plan.steps[1].undo == "remove the new volumes");
}

TEST_CASE("who wants to move a guest on RBD to another host is told how", "[migrate]") {
  Rig rig(live());
  rig.request.to = rig.beta().facts.uri;
  CHECK(rig.plan().possible());  // to another pool as well
  rig.request.pool = "vms";
  const auto said = [&rig] {
    const Plan plan = rig.plan();
    for (const Check& check : plan.checks) {
      if (check.name == "disks" && check.result == Check::Result::kFailed) {
        return check.message + " -- " + check.hint;
      }
    }
    return std::string();
  };
  const std::string hosts = " web1 'qemu+unix:///system?socket=/run/beta'";
  CHECK(said().find("all of them are on RBD already") == 0);
  CHECK(said().find("virsh -c 'qemu+unix:///system?socket=/run/alpha' migrate --live --persistent "
                    "--undefinesource" +
                    hosts) != std::string::npos);
  rig.power_off();
  rig.request.keep_source_definition = true;
  CHECK(said().find("migrate --offline --persistent" + hosts) != std::string::npos);
  // Nothing of that for one that goes nowhere, or with a disk that nobody has.
  rig.request.to.clear();
  CHECK(said().find("no disk of the domain can move") == 0);
  rig.request.to = rig.beta().facts.uri;
  rig.request.disks["vdx"] = {"vms", "web1-vdx"};
  CHECK(said().find("virsh -c") == std::string::npos);
}

TEST_CASE("a disk on RBD stays where nobody asked for its move", "[migrate]") {
  Rig rig(live());
  rig.request.volumes_move = false;
  CHECK(rig.plan().stays[0] == "vda: it is on RBD already");

  rig.request.volumes_move = true;
  rig.request.pool = "vms";
  const Plan same_pool = rig.plan();
  CHECK_FALSE(same_pool.possible());
  CHECK(same_pool.stays[0] ==
        "vda: it is in the pool 'vms' already: --disk vda=rbd:POOL/IMAGE moves it");

  rig.request.disks = {{"vda", {"vms", "old-a"}}};
  const Plan there = rig.plan();
  CHECK(message_of_check(there, "disks") == "disk vda cannot move: it is on rbd:vms/old-a already");

  rig.request.disks = {{"vda", {"vms", "renamed"}}};
  CHECK(goals_of(rig.plan()) == Texts{"rbd:vms/renamed"});
}

TEST_CASE("beside a disk on a file, one on RBD moves only by name", "[migrate]") {
  Rig rig({"mixed", put_second_on_file});
  const Plan plan = rig.plan();
  CHECK(goals_of(plan) == Texts{"rbd:fast/web1-vdb"});
  CHECK(plan.stays[0] ==
        "vda: it is on RBD already, and others are not: --disk vda=rbd:POOL/IMAGE moves it");

  rig.request.disks = {{"vda", {"fast", "web1-vda"}}, {"vdb", {"fast", "web1-vdb"}}};
  rig.request.delete_source = true;
  CHECK(rig.run(rig.plan()).done());
  CHECK_FALSE(rig.world().images.contains("rbd:vms/old-a"));
  CHECK_FALSE(rig.world().images.contains("/img/data.img"));
  CHECK(rig.problems_if_moved() == Texts());
}

TEST_CASE("to another cluster disks go from pool to pool of one name", "[migrate]") {
  Rig rig(way_named("from RBD to another cluster, live, new secret"));
  rig.request.pool = "vms";
  CHECK(goals_of(rig.plan()) == Texts{"rbd:vms/web1-vda", "rbd:vms/web1-vdb"});
  CHECK(rig.plan().possible());

  rig.request.disks = {{"vda", {"vms", "old-a"}}};
  CHECK(message_of_check(rig.plan(), "disks").find("would be its name in both clusters") !=
        std::string::npos);
}

TEST_CASE("a secret with another key stays as it is in a move to another cluster", "[migrate]") {
  Rig rig(way_named("from RBD to another cluster, live, new secret"));
  rig.request.secret.uuid = kSecretUuid;
  rig.alpha().secrets[kSecretUuid] = "of the old cluster";
  CHECK_FALSE(rig.plan().possible());
  CHECK(message_of_check(rig.plan(), "secret on alpha").find("is not the key of client.libvirt") !=
        std::string::npos);
}

TEST_CASE("QEMU's mirror does not move volumes", "[migrate]") {
  Rig rig(live());
  rig.request.method = MigrateMethod::kMirror;
  const Plan plan = rig.plan();
  CHECK_FALSE(plan.possible());
  CHECK(message_of_check(plan, "disk vda") ==
        "it is on RBD, and QEMU's mirror moves only files there");
}

TEST_CASE("a volume that the running guest does not have open is not its disk", "[migrate]") {
  Rig rig(live());
  rig.world().qemu_cuts = 512;
  CHECK(message_of_check(rig.plan(), "disk vda").find("the running guest sees") !=
        std::string::npos);

  // The definition names no monitors, so that whatever cluster is asked may have such a volume.
  Rig other(live());
  other.guest().disks.at("vda").chain.front().image = "rbd:vms/old-b";
  CHECK(message_of_check(other.plan(), "disk vda").find("no client has it open") !=
        std::string::npos);
}

TEST_CASE("an old volume stays if it is another one now, or has snapshots", "[migrate]") {
  for (const char* const name : {"from RBD to another pool, live, old volumes deleted",
                                 "from RBD to another pool, offline, shut off before, old volumes "
                                 "deleted"}) {
    INFO(name);
    Rig rig(way_named(name));
    rig.world().images["rbd:vms/old-a"].snapshots.emplace_back("monday");
    const Plan plan = rig.plan();
    CHECK(plan.possible());
    CHECK(message_of_check(plan, "old disk of vda").find("it has the snapshot monday: remove") !=
          std::string::npos);
    CHECK(message_of_check(plan, "snapshots in vda").find("will stay in it") != std::string::npos);
    // Of the other one that comes out only later.
    rig.world().hook = [&](unsigned, const std::string& call) {
      if (call == "domains" || call == "alpha: domains") {
        rig.world().images["rbd:vms/old-b"].file = 77;
        rig.others.insert("rbd:vms/old-b");
      }
    };
    CHECK(rig.run(plan).done());
    rig.world().hook = nullptr;
    CHECK(rig.said_to_stay("rbd:vms/old-a"));
    CHECK(rig.said_to_stay("rbd:vms/old-b"));
    CHECK(rig.said().find("it is not the volume any more that was copied") != std::string::npos);
    CHECK(rig.problems_if_moved() == Texts());
  }
}

}  // namespace vmferry::test
