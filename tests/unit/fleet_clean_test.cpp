// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <string>

#include "lib/fleet/moves.h"
#include "tests/unit/catch.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_storage.h"
#include "tests/unit/fleet_model.h"
#include "tests/unit/temp_dir.h"
#include "vmferry/error.h"
#include "vmferry/fleet_clean.h"

// What is left of guests that moved, and when it may go.

namespace vmferry::test {
namespace {

constexpr int64_t kMovedAt = 1'700'000'000;
constexpr int64_t kCleanDay = 24 * 3600;
constexpr const char* kCleanUuid = "6b1c2a3e-55d1-4f5c-9f0e-000000000001";

std::string clean_machine(const std::string& name, const std::string& uuid,
                          const std::string& disk) {
  return laid_out(
      fmt::format("<domain type='kvm'><name>{}</name><uuid>{}</uuid><memory unit='KiB'>65536"
                  "</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
                  "<emulator>/usr/bin/qemu-system-x86_64</emulator>{}</devices></domain>",
                  name, uuid, disk));
}

std::string clean_volume(const std::string& name) {
  return "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source "
         "protocol='rbd' name='" +
         name + "'/><target dev='vda' bus='virtio'/></disk>";
}

std::string clean_file(const std::string& path, const std::string& format = "raw") {
  return "<disk type='file' device='disk'><driver name='qemu' type='" + format +
         "'/><source file='" + path + "'/><target dev='vda' bus='virtio'/></disk>";
}

/// Hosts h1 and h2. The guest web moved from /img/web.img of h1 to a volume, and runs on it.
class CleanRig {
 public:
  CleanRig() : world(std::make_shared<World>()), storage_(world) {
    for (const char* name : {"h1", "h2"}) {
      world->hosts[name].facts = {.uri = std::string("qemu:///") + name,
                                  .hostname = name,
                                  .uuid = name,
                                  .local = true,
                                  .rbd_driver = {}};
    }
    world->images["/img/web.img"] = {.size = 1 << 20};
    world->images["rbd:vms/web-vda"] = {.size = 1 << 20};
    old.number = 1;
    old.job.name = "web";
    old.job.host = "h1";
    old.job.uuid = kCleanUuid;
    old.disk.dev = "vda";
    old.disk.from = "/img/web.img";
    old.disk.to = "rbd:vms/web-vda";
    old.disk.old = OldFile{.path = "/img/web.img", .format = "raw", .identity = "/img/web.img#0"};
    old.moved = kMovedAt;
    guest = &add("h1", "web", kCleanUuid, clean_volume("vms/web-vda"), true);
  }

  DomainData& add(const std::string& host, const std::string& name, const std::string& uuid,
                  const std::string& disk, bool running) {
    DomainData domain;
    domain.name = name;
    domain.uuid = uuid;
    domain.stored = clean_machine(name, uuid, disk);
    world->guests[uuid].counter = 100;
    HostData& data = world->hosts.at(host);
    data.domains[name] = domain;
    if (running) {
      world->launch(data, data.domains[name], false);
    }
    return data.domains[name];
  }

  FleetCleaning cleaning() {
    FleetCleaning cleaning;
    cleaning.host = std::make_shared<FakeHost>(world, "h1");
    cleaning.storage = &storage_;
    cleaning.older_than = std::chrono::seconds(7 * kCleanDay);
    cleaning.state_dir = (state / "").string();
    cleaning.connect = [this](const std::string& uri) -> std::shared_ptr<Host> {
      if (uri != "qemu+ssh://h2/system") {
        refuse(ErrorKind::kIo, uri, "it does not answer");
      }
      return std::make_shared<FakeHost>(world, "h2");
    };
    cleaning.now = [this] { return now; };
    return cleaning;
  }
  /// As `vmferry migrate` writes it.
  void keep_record() {
    old.job.disks = {{.dev = old.disk.dev, .target = {"vms", "web-vda"}}};
    const OldFile& file = old.disk.old.value();
    std::ofstream(state / "web-2023-11-14T22:13:20Z.record") << fmt::format(
        R"({{"domain": "web", "ended": "2023-11-14 22:13:20Z", "kept": ["{0}"], "disks": [)"
        R"({{"disk": "{1}", "from": "{0}", "to": "rbd:vms/web-vda", "old": {{"path": "{0}", )"
        R"("format": "{2}", "identity": "{3}", "size_bytes": {4}, "modified_ns": {5}, )"
        R"("allocated_bytes": {6}}}}}]}})",
        file.path, old.disk.dev, file.format, file.identity, file.size, file.modified, file.taken);
  }
  OldDiskVerdict judge() {
    if (has_record && old.disk.old) {
      keep_record();
    }
    return judge_old_disk(old, cleaning());
  }
  void check_stays(const std::string& why) {
    INFO(why);
    const OldDiskVerdict verdict = judge();
    CHECK(verdict.fate == OldDiskFate::kStays);
    CHECK(verdict.why.find(why) != std::string::npos);
    INFO(verdict.why);
  }

  std::shared_ptr<World> world;
  FleetOldDisk old;
  DomainData* guest = nullptr;
  TempDir state;
  bool has_record = true;
  int64_t now = kMovedAt + 8 * kCleanDay;

 private:
  FakeStorage storage_;
};

const char* const kRecord =
    R"({"domain":"g1","disks":[{"disk":"vda","from":"/img/g1","to":"rbd:vms/g1-vda","copied_digest":"d1",)"
    R"("before":{"virtual_bytes":10,"allocated_bytes":7},"after":{"virtual_bytes":10,"allocated_bytes":5},)"
    R"("old":{"path":"/img/g1","format":"qcow2","identity":"file 1:2","size_bytes":9,"modified_ns":5,"allocated_bytes":8}},)"
    R"({"disk":"vdb","from":"/img/g1b","to":"rbd:vms/g1-vdb"}],"kept":["/img/g1","/img/g1.xml"],"seconds":2.5,"downtime_ms":40})";

}  // namespace

TEST_CASE("an old disk may go when its guest has run on the new one for long", "[fleet]") {
  CleanRig rig;
  CHECK(rig.judge().fate == OldDiskFate::kMayGo);
  rig.now = kMovedAt + 6 * kCleanDay;
  CHECK(rig.judge().fate == OldDiskFate::kTooEarly);
  CHECK(rig.judge().why == "its guest moved 6 days ago");
  rig.world->images.erase("/img/web.img");
  CHECK(rig.judge().fate == OldDiskFate::kGone);
}

TEST_CASE("an old disk stays when its guest is not as it was after the move", "[fleet]") {
  CleanRig rig;
  SECTION("off") {
    rig.world->stop(*rig.guest);
    rig.check_stays("its guest does not run on h1");
  }
  SECTION("gone, and another one has its name") {
    rig.world->hosts.at("h1").domains.clear();
    rig.add("h1", "web", "6b1c2a3e-55d1-4f5c-9f0e-000000000002", clean_volume("vms/web-vda"), true);
    rig.check_stays("its guest is not defined on h1 any more");
  }
  SECTION("its next start has another disk") {
    rig.guest->stored = clean_machine("web", kCleanUuid, clean_volume("vms/other"));
    rig.check_stays("its guest has rbd:vms/other for vda, not rbd:vms/web-vda");
  }
  SECTION("it has no such disk") {
    rig.old.disk.dev = "vdb";
    rig.check_stays("its guest has nothing for vdb");
  }
}

TEST_CASE("an old disk stays where it may be needed", "[fleet]") {
  CleanRig rig;
  SECTION("of another guest") {
    rig.add("h1", "clone", "6b1c2a3e-55d1-4f5c-9f0e-000000000002", clean_file("/img/web.img"),
            false);
    rig.check_stays("domain clone needs it for vda");
  }
  SECTION("below the image of another guest") {
    rig.world->images["/img/over.qcow2"] = {.format = "qcow2", .backing = "/img/web.img"};
    rig.add("h1", "clone", "6b1c2a3e-55d1-4f5c-9f0e-000000000002",
            clean_file("/img/over.qcow2", "qcow2"), false);
    rig.check_stays("domain clone needs it for vda");
  }
  SECTION("nobody can be asked") {
    rig.world->arm(1, Fault::kFailBefore, "h1: domains");
    rig.check_stays("cannot be found out");
  }
}

TEST_CASE("an old disk stays unless it is the very file of the move", "[fleet]") {
  CleanRig rig;
  SECTION("another file") {
    rig.world->images["/img/web.img"].file = 1;
    rig.check_stays("it is not the file that was copied any more");
  }
  SECTION("written to") {
    rig.old.disk.old->modified = 1;
    rig.check_stays("it was written to since the move");
  }
  SECTION("only the cluster says so") {
    rig.has_record = false;
    rig.check_stays("says that it moved");
  }
  SECTION("an old record") {
    rig.old.disk.old.reset();
    rig.check_stays("does not tell which file it was");
  }
}

TEST_CASE("a guest that moved away is asked for where it went", "[fleet]") {
  CleanRig rig;
  rig.world->stop(*rig.guest);
  rig.world->hosts.at("h1").domains.clear();
  rig.old.job.to = "qemu+ssh://h2/system";
  rig.old.job.target_host = "h2";
  rig.check_stays("its guest is not defined on h2 any more");
  rig.add("h2", "web", kCleanUuid, clean_volume("vms/web-vda"), true);
  CHECK(rig.judge().fate == OldDiskFate::kMayGo);
  rig.old.job.target_host = "h3";
  rig.check_stays("leads to h2 now, not to h3");
  rig.old.job.to = "qemu+ssh://h9/system";
  rig.check_stays("it does not answer");
  rig.old.job.to = "qemu+ssh://h2/system?command=/tmp/x";
  rig.check_stays("a worker does not use such a URI");
}

TEST_CASE("a record tells what became of each disk", "[fleet]") {
  const FleetMove move = fleet::move_of(kRecord);
  REQUIRE(move.disks.size() == 2);
  CHECK(move.disks[0].from == "/img/g1");
  CHECK(move.disks[0].digest == "d1");
  CHECK(move.disks[0].before.allocated_bytes == 7);
  CHECK(move.disks[0].state == OldDiskState::kLeft);
  CHECK(move.disks[0].old->identity == "file 1:2");
  CHECK(move.disks[0].old->modified == 5);
  CHECK(move.disks[1].state == OldDiskState::kNothing);
  CHECK(move.kept == std::vector<std::string>{"/img/g1.xml"});
  CHECK(move.downtime_ms == 40);
  for (const char* odd :
       {"", "[]", "{}", R"({"disks":[{"disk":1}],"kept":[]})", R"({"disks":7})"}) {
    CHECK(fleet::move_of(odd).disks.empty());
  }
}

TEST_CASE("the record of a volume tells what sparsifying gave back", "[fleet]") {
  FleetJobStatus job;
  const std::string record =
      R"({"image":"rbd:vms/a","virtual_bytes":9,"allocated_before_bytes":8,"allocated_after_bytes":3,"seconds":1.5})";
  fleet::add_space(record, job);
  CHECK(job.before == 8);
  CHECK(job.after == 3);
  CHECK(fleet::move_of(record).seconds == 1.5);
  fleet::add_space("nonsense", job);
  CHECK(job.before == 8);
}

TEST_CASE("what went is noted in the fleet, and in its report", "[fleet]") {
  FleetModel model(1);
  ModelObject object(model, "admin");
  const FleetPlan plan = model_plan(1, 2);
  ObjectChange change = fleet::new_fleet(plan, "first");
  change.create = true;
  REQUIRE(object.change(change) == Changed::kDone);
  fleet::Ledger ledger(object, "fleet", "admin");
  FleetJobStatus done = ledger.job(1).status;
  done.state = FleetJobState::kDone;
  done.ended = kMovedAt;
  model.keys[fleet::numbered(fleet::kJobs, 1)] = fleet::text_of(done, "m");
  CHECK_THROWS_AS(fleet::note_old_disk(ledger, 1, "vda", {}), Error);  // it has no record
  model.keys[fleet::numbered(fleet::kRecords, 1)] = kRecord;

  const std::vector<FleetOldDisk> before = old_disks(fleet::report_of(ledger, plan));
  REQUIRE(before.size() == 1);
  CHECK(before[0].job.name == "g1");
  CHECK(before[0].moved == kMovedAt);

  fleet::note_old_disk(ledger, 1, "vda", {.state = OldDiskState::kRemoved, .when = 7});
  fleet::note_old_disk(ledger, 1, "vdb", {.state = OldDiskState::kGone, .when = 8});
  const FleetReport after = fleet::report_of(ledger, plan);
  CHECK(old_disks(after).empty());
  CHECK(after.moves[0].disks[0].state == OldDiskState::kRemoved);
  CHECK(after.moves[0].disks[0].when == 7);
  CHECK(after.moves[0].disks[1].state == OldDiskState::kGone);
  CHECK(after.moves[1].disks.empty());
}

}  // namespace vmferry::test
