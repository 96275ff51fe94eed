// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <string>

#include "tests/unit/catch.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"

// A fleet's plan as text: what is written reads back, and what a person may have written wrong is
// refused with its line.

namespace vmferry::test {
namespace {

constexpr const char* kGood = R"(format = 1
pool = "vms"
[ceph]
id = "libvirt"
monitors = ["10.0.0.1", "[fd00::1]:3300"]
[limits]
jobs = 8
bandwidth = "400M"
window = ["22:00-06:00", "12:30-13:00"]
stop_after_failures = 3
[[guest]]
name = "web1"
connect = "qemu+ssh://h1/system"
host = "h1"
uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f"
way = "live"
data = 123456789
[[guest.disk]]
dev = "vda"
target = "rbd:vms/web1-vda"
[[guest.disk]]
dev = "vdb"
target = "rbd:more/web1-vdb"
base = "rbd:gold/debian@v1"
[[guest]]
name = "db"
connect = "qemu+ssh://h2/system"
host = "h2"
uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e60"
to = "qemu+ssh://h3/system"
target_host = "h3"
way = "offline"
wave = 2
on_death = "finish"
[[guest.disk]]
dev = "vda"
target = "rbd:vms/db-vda"
)";

/// The good plan with one text in place of another, which stands there.
std::string edited(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// What is said of a text: "NAME:LINE: what | hint".
std::string said_of(const std::string& text) {
  try {
    read_plan(text, "p");
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "nothing";
}

struct BadEdit {
  const char* from;
  const char* to;
  const char* said;
};

}  // namespace

TEST_CASE("a plan of a fleet is read", "[fleet]") {
  const FleetPlan plan = read_plan(kGood, "p");
  CHECK(plan.pool == "vms");
  CHECK(plan.ceph.id == "libvirt");
  REQUIRE(plan.ceph.monitors.size() == 2);
  CHECK(plan.ceph.monitors[1] == CephMonitor{.host = "fd00::1", .port = 3300});
  CHECK(plan.limits.jobs == 8);
  CHECK(plan.limits.jobs_per_host == FleetLimits().jobs_per_host);
  CHECK(plan.limits.bandwidth == uint64_t{400} << 20);
  REQUIRE(plan.limits.window.size() == 2);
  CHECK(plan.limits.window[0] == FleetWindow{.from = 22 * 60, .to = 6 * 60});
  CHECK(plan.limits.stop_after_failures == 3u);
  CHECK(plan.limits.wait_for_health);
  REQUIRE(plan.jobs.size() == 2);
  const FleetJob& web = plan.jobs[0];
  CHECK(web.name == "web1");
  CHECK(web.way == MigrateMode::kLive);
  CHECK(web.wave == 1);
  CHECK(web.on_death == Recovery::kAuto);
  CHECK(web.data == 123456789);
  REQUIRE(web.disks.size() == 2);
  CHECK(web.disks[1].target == VolumeName{"more", "web1-vdb"});
  CHECK(web.disks[0].base.empty());
  CHECK(web.disks[1].base == "rbd:gold/debian@v1");
  CHECK(migrate_request(plan, web).bases.at("vdb") == "rbd:gold/debian@v1");
  const FleetJob& db = plan.jobs[1];
  CHECK(db.target_host == "h3");
  CHECK(db.wave == 2);
  CHECK(db.on_death == Recovery::kFinish);
}

TEST_CASE("a job of a plan is a request for a migration", "[fleet]") {
  const FleetPlan plan = read_plan(kGood, "p");
  const MigrateRequest request = migrate_request(plan, plan.jobs[1]);
  CHECK(request.domain == "db");
  CHECK(request.from == "qemu+ssh://h2/system");
  CHECK(request.to == "qemu+ssh://h3/system");
  CHECK(request.mode == MigrateMode::kOffline);
  CHECK(request.disks.at("vda") == VolumeName{"vms", "db-vda"});
  CHECK(request.user == "libvirt");
  CHECK(request.secret.usage == "client.libvirt secret");
  CHECK(request.monitors.size() == 2);
}

TEST_CASE("a plan that is written reads back as the same", "[fleet]") {
  FleetPlan plan = read_plan(kGood, "p");
  plan.limits.bandwidth = 1000;
  plan.limits.wait_for_health = false;
  plan.ceph.data_pool = "ec";
  plan.limits.cutover_window = {{.from = 120, .to = 240}};
  plan.jobs[0].warm = true;
  plan.jobs[0].disks[1].base.clear();
  plan.jobs[0].cutover_wave = 2;
  plan.jobs[0].name = "a \"b\" \\ \xc3\xa9";
  const std::string text = write_plan(plan);
  CHECK(write_plan(read_plan(text, "p")) == text);
  CHECK(read_plan(text, "p").jobs[0].name == plan.jobs[0].name);
  CHECK(read_plan(text, "p").limits.bandwidth == 1000);
  CHECK(read_plan(text, "p").limits.cutover_window == plan.limits.cutover_window);
  CHECK(read_plan(text, "p").jobs[0].warm);
  CHECK(read_plan(text, "p").jobs[0].way == MigrateMode::kLive);
  CHECK(read_plan(text, "p").jobs[0].cutover_wave == 2);
  CHECK_FALSE(read_plan(text, "p").limits.wait_for_health);
}

TEST_CASE("comments of a plan stay comments, whatever a guest is called", "[fleet]") {
  FleetPlan plan = read_plan(kGood, "p");
  const std::string text = write_plan(plan);
  plan.head = {"made by hand", ""};
  plan.jobs[0].remarks = {"warning: x\nformat = 2", "\xff\xfe\r"};
  plan.tail = {"refused: evil\n[[guest]]"};
  CHECK_THAT(write_plan(plan), Contains("# refused: evil?[[guest]]"));
  CHECK(write_plan(read_plan(write_plan(plan), "p")) == text);
}

TEST_CASE("an error in a plan says in which line it is", "[fleet]") {
  static constexpr BadEdit kEdits[] = {
      {"format = 1", "format = 0", "p:1: 'format' is 0"},
      {"format = 1", "format = \"1\"", "p:1: 'format' is a text in quotes; it has to be a whole"},
      {"format = 1", "", "p:1: the plan has no format; this one is: format = 1"},
      {"format = 1", "format = 2", "p:1: format 2 is of a newer vmferry; this one reads format 1"},
      {"pool = \"vms\"", "pool = \"a/b\"", "p:2: 'pool'"},
      {"pool = \"vms\"", "", "p:1: the plan has no 'pool'"},
      {"pool = \"vms\"", "pool = \"\"", "p:2: the plan has no 'pool'"},
      {"pool = \"vms\"", "pool = \"vms\"\npools = 1", "p:3: the plan has no key 'pools'; it may"},
      {"pool = \"vms\"", "pool = \"vms", "p:2: "},
      {"pool = \"vms\"", "pool = \"vms\"\npool = \"vms\"", "p:3: "},
      {"id = \"libvirt\"", "", "p:0"},
      {"id = \"libvirt\"", "id = \"client.x\"\nsecret_uuid = \"a\"\nsecret_usage = \"b\"",
       "p:6: 'secret_uuid' and 'secret_usage'"},
      {"id = \"libvirt\"", "define_secret = true", "p:3: [ceph] has a secret, but no 'id'"},
      {"\"10.0.0.1\"", "\"10.0.0.1:x\"", "p:5: 'monitors'"},
      {"\"10.0.0.1\"", "7", "p:5: 'monitors' is a whole number"},
      {"[limits]", "limits = 1\n[x]", "p:6: "},
      {"jobs = 8", "jobs = 0", "p:7: 'jobs' is 0; it has to be 1 at least"},
      {"jobs = 8", "jobs = -1", "p:7: 'jobs' is -1"},
      {"jobs = 8", "jobs = 99999999999999999999", "p:7: "},
      {"jobs = 8", "jobs_per_host = 0", "p:7: 'jobs_per_host' is 0"},
      {"jobs = 8", "jobs_per_target_host = 1.5", "p:7: 'jobs_per_target_host' is something else"},
      {"jobs = 8", "wait_for_health = \"yes\"", "p:7: 'wait_for_health' is a text in quotes"},
      {"\"400M\"", "\"fast\"", "p:8: 'bandwidth'"},
      {"\"400M\"", "\"0\"", "p:8: 'bandwidth'"},
      {"\"22:00-06:00\"", "\"25:00-06:00\"", "p:9: 'window' has \"25:00-06:00\""},
      {"\"22:00-06:00\"", "\"22:00-22:00\"", "p:9: 'window'"},
      {"\"22:00-06:00\"", "\"22:00\"", "p:9: 'window'"},
      {"[\"22:00-06:00\", \"12:30-13:00\"]", "\"22:00-06:00\"", "p:9: 'window' is a text"},
      {"stop_after_failures = 3", "stop_after_failures = 0", "p:10: 'stop_after_failures' is 0"},
      {"[[guest]]", "[guest]", "p:"},
      {"name = \"web1\"", "name = \"\"", "p:12: [[guest]] has no 'name'"},
      {"name = \"web1\"", "", "p:11: [[guest]] has no 'name'"},
      {"name = \"web1\"", "name = \"a\\nb\"", "p:12: 'name' holds a control character"},
      {"name = \"web1\"", "name = \"a\\u0000b\"", "p:12: 'name' holds a control character"},
      {"name = \"web1\"", "name = 1", "p:12: 'name' is a whole number"},
      {"0a1b2c3d4e5f", "0a1b2c3d4e5", "p:15: 'uuid'"},
      {"0a1b2c3d4e60", "0A1B2C3D4E5F", "p:29: a guest has this UUID already, as in line 11"},
      {"way = \"live\"", "way = \"fast\"",
       "p:16: 'way' is \"fast\"; it has to be live, offline or warm"},
      {"way = \"live\"", "way = \"auto\"", "p:16: 'way' is \"auto\""},
      {"way = \"live\"", "", "p:11: [[guest]] has no 'way'"},
      {"data = 123456789", "cutover_wave = 2", "p:17: 'cutover_wave' needs way = \"warm\""},
      {"way = \"live\"", "way = \"warm\"", "p:16: a warm move does not go with the 'base' of vdb"},
      {"way = \"live\"", "way = \"warm\"\nwave = 3\ncutover_wave = 2",
       "also wrong: line 18: 'cutover_wave' is 2, and"},
      {"bandwidth = \"400M\"", "cutover_window = [\"9-10\"]", "p:8: 'cutover_window' has \"9-10\""},
      {"data = 123456789", "shut_down = true", "p:17: 'shut_down' needs way = \"offline\""},
      {"data = 123456789", "snapshots = true", "p:17: 'snapshots' needs way = \"offline\""},
      {"way = \"live\"\ndata = 123456789", "way = \"offline\"\nsnapshots = true",
       "p:17: 'snapshots' does not go with the 'base' of vdb"},
      {"wave = 2", "snapshots = true\nrewrite_only = true", "p:33: 'snapshots' is for a copy"},
      {"data = 123456789", "data = -1", "p:17: 'data' is -1"},
      {"data = 123456789", "weight = 3", "p:17: [[guest]] has no key 'weight'"},
      {"wave = 2", "wave = 0", "p:33: 'wave' is 0"},
      {"\"finish\"", "\"stay\"", "p:34: 'on_death' is \"stay\"; it has to be auto, finish or undo"},
      {"to = \"qemu+ssh://h3/system\"", "", "p:25: 'to' and 'target_host' go together"},
      {"target_host = \"h3\"", "target_host = \"h2\"", "p:31: 'target_host' is the guest's own"},
      {"dev = \"vdb\"", "dev = \"vda\"", "p:22: vda is there twice, as in line 18"},
      {"rbd:more/web1-vdb", "rbd:vms/web1-vda", "p:23: rbd:vms/web1-vda is in the plan already"},
      {"rbd:more/web1-vdb", "rbd:vms/db-vda", "p:37: rbd:vms/db-vda is in the plan already"},
      {"rbd:more/web1-vdb", "/dev/sda", "p:23: 'target'"},
      {"rbd:more/web1-vdb", "rbd:more/a@b", "p:23: 'target'"},
      {"rbd:more/web1-vdb", "rbd:more/ns/b", "p:23: 'target'"},
      {"rbd:more/web1-vdb", "rbd:more/b:key=secretkey", "p:23: 'target'"},
      {"rbd:more/web1-vdb", "rbd:more", "p:23: 'target'"},
      {"rbd:gold/debian@v1", "rbd:gold/debian", "p:24: 'base'"},
      {"rbd:gold/debian@v1", "rbd:gold/debian@v1:key=secretkey", "p:24: 'base'"},
  };
  CHECK(said_of(kGood) == "nothing");
  for (const BadEdit& edit : kEdits) {
    INFO(edit.from << " -> " << edit.to);
    const std::string said = said_of(edited(edit.from, edit.to));
    if (std::string(edit.said) == "p:0") {
      CHECK(said == "nothing");
    } else {
      CHECK_THAT(said, Contains(edit.said));
    }
    CHECK_THAT(said, !Contains("secretkey"));
  }
}

TEST_CASE("a guest is in a plan once", "[fleet]") {
  // The second one becomes the first one's name and host.
  std::string text = edited("name = \"db\"", "name = \"web1\"");
  CHECK(said_of(text) == "nothing");  // on another host
  text.replace(text.find("host = \"h2\""), 11, "host = \"h1\"");
  CHECK_THAT(said_of(text), Contains("web1 of h1 is there twice, as in line 11"));
  // Two of one name that go to one host.
  text = edited("way = \"live\"",
                "way = \"live\"\nto = \"qemu+ssh://h3/system\"\ntarget_host = \"h3\"");
  text.replace(text.find("name = \"db\""), 11, "name = \"web1\"");
  CHECK_THAT(said_of(text), Contains("a guest named web1 goes to h3 already, as in line 11"));
}

TEST_CASE("several errors in a plan are said at once, and not too many", "[fleet]") {
  std::string text = edited("jobs = 8", "jobs = 0\nx = 1");
  CHECK_THAT(said_of(text), Contains("p:7: 'jobs' is 0") && Contains("also wrong: line 8: "));
  for (int i = 0; i < 50; ++i) {
    text += fmt::format("k{} = 1\n", i);
  }
  CHECK_THAT(said_of(text), Contains("and 42 more"));
}

TEST_CASE("texts that are no plan are refused", "[fleet]") {
  CHECK_THAT(said_of(""), Contains("p:1: the plan has no format"));
  CHECK_THAT(said_of("format = 1\npool = \"vms\"\n"), Contains("there is nothing to do"));
  CHECK_THAT(said_of("<domain/>"), Contains("p:1: "));
  CHECK_THAT(said_of(std::string("format = 1\n\0\n", 13)), Contains("p:2: "));
  CHECK_THAT(said_of("format = 1\npool = \"\xff\"\n"), Contains("p:2: "));
  CHECK_THAT(said_of("a = " + std::string(100'000, '[')), Contains("p:1: "));
  CHECK_THAT(said_of(std::string(kMaxPlanBytes + 1, '#')), Contains("a plan has 16 MiB at most"));
}

}  // namespace vmferry::test
