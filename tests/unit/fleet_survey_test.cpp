// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/fleet_rig.h"
#include "vmferry/fleet.h"

// Plans of a fleet, made of several hosts of the model, each with guests.

namespace vmferry::test {
namespace {

const FleetJob& job_of(const FleetSurvey& survey, std::string_view name) {
  const auto& jobs = survey.plan.jobs;
  const auto found =
      std::find_if(jobs.begin(), jobs.end(), [&](const FleetJob& job) { return job.name == name; });
  REQUIRE(found != jobs.end());
  return *found;
}

std::string lines(const std::vector<std::string>& all) {
  return fmt::format("{}", fmt::join(all, "\n"));
}

std::string refusals(const FleetSurvey& survey) {
  std::string text;
  for (const FleetRefusal& each : survey.refused) {
    text += fmt::format("{} on {}: {}\n", each.guest, each.host, fmt::join(each.reasons, "; "));
  }
  return text;
}

}  // namespace

TEST_CASE("a fleet's plan has the guests of all hosts, with way, targets and data", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web", .running = true});
  rig.add({.host = "h1", .name = "db"});
  rig.add({.host = "h2", .name = "mail", .running = true});
  const std::string before = rig.world->outline();
  const FleetSurvey survey = rig.plan();
  INFO(refusals(survey) << lines(survey.troubles));
  REQUIRE(survey.plan.jobs.size() == 3);
  CHECK(survey.refused.empty());
  CHECK(survey.troubles.empty());
  CHECK(survey.plan.jobs[0].name == "db");  // by host and name
  const FleetJob& web = job_of(survey, "web");
  CHECK(web.way == MigrateMode::kLive);
  CHECK(web.host == "h1");
  CHECK(web.connect == "qemu:///h1");
  CHECK(web.uuid == rig.world->hosts["h1"].domains["web"].uuid);
  CHECK(web.wave == 1);
  CHECK(web.data == kFleetDiskData);
  REQUIRE(web.disks.size() == 1);
  CHECK(web.disks[0].target == VolumeName{"vms", "web-vda"});
  CHECK(job_of(survey, "db").way == MigrateMode::kOffline);
  // It reads back, and nothing was changed.
  CHECK(read_plan(write_plan(survey.plan), "p").jobs.size() == 3);
  CHECK(rig.world->outline() == before);
  CHECK(rig.world->wrongs.empty());
}

TEST_CASE("a guest that was off when it was planned is not shut down", "[fleet]") {
  FleetRig rig(1);
  rig.request.way = MigrateMode::kOffline;
  rig.request.snapshots = true;
  rig.add({.host = "h1", .name = "web", .running = true});
  rig.add({.host = "h1", .name = "db"});
  FleetSurvey survey = rig.plan();
  CHECK(job_of(survey, "web").shut_down);
  CHECK_FALSE(job_of(survey, "db").shut_down);
  CHECK(job_of(survey, "db").snapshots);
  CHECK(rig.check(survey.plan).refused.empty());

  HostData& host = rig.world->hosts.at("h1");
  rig.world->launch(host, host.domains["db"], false);  // somebody starts it
  CHECK_THAT(refusals(rig.check(survey.plan)),
             Contains("db on h1: state: db is running, and is not to be shut down"));
  for (FleetJob& job : survey.plan.jobs) {
    job.shut_down = true;
  }
  CHECK(rig.check(survey.plan).refused.empty());
}

TEST_CASE("of a plan for warm moves guests that are off move offline", "[fleet]") {
  FleetRig rig(2);
  rig.request.warm = true;
  rig.request.hosts = {"qemu:///h1"};
  rig.request.to = GENERATE("", "qemu:///h2");
  rig.world->hosts["h2"].facts.local = false;
  rig.add({.host = "h1", .name = "web", .running = true});
  rig.add({.host = "h1", .name = "db"});
  const FleetSurvey survey = rig.plan();
  INFO(refusals(survey));
  CHECK(job_of(survey, "web").to == rig.request.to);
  CHECK(job_of(survey, "web").warm);
  CHECK(job_of(survey, "web").way == MigrateMode::kLive);
  CHECK_FALSE(job_of(survey, "db").warm);
  CHECK(job_of(survey, "db").way == MigrateMode::kOffline);
  CHECK_FALSE(job_of(survey, "db").shut_down);
  CHECK(rig.check(survey.plan).refused.empty());
}

TEST_CASE("a fleet's plan asks the cluster once, however many guests there are", "[fleet]") {
  FleetRig rig(3);
  for (int i = 0; i < 20; ++i) {
    rig.add({.host = fmt::format("h{}", i % 3 + 1), .name = fmt::format("g{}", i)});
  }
  CHECK(rig.plan().plan.jobs.size() == 20);
  CHECK(rig.calls("pool") == 1);
  CHECK(rig.calls("prove_access") == 1);
}

TEST_CASE("guests that cannot move are named with the reasons, others left out", "[fleet]") {
  FleetRig rig(1);
  rig.add({.host = "h1", .name = "good"});
  rig.add({.host = "h1", .name = "snap"}).snapshots = 2;
  rig.add({.host = "h1", .name = "moved", .disks = kFleetVolumeDisk});
  const FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 1);
  CHECK_THAT(refusals(survey), Contains("snap on h1: snapshots: the domain has 2 snapshots"));
  CHECK_THAT(lines(survey.left_out), Contains("moved on h1: all of its disks are on RBD"));
  CHECK_THAT(lines(survey.plan.tail),
             Contains("refused: snap on h1: snapshots: ") && Contains("left out: moved on h1: "));
  CHECK(survey.troubles.empty());
}

TEST_CASE("a guest that a plan's text does not take stops no other", "[fleet]") {
  FleetRig rig(1);
  rig.add({.host = "h1", .name = "good"});
  rig.world->images["/h1/odd.img"] = {.size = kFleetDiskBytes, .own = {{0, 1}}};
  rig.add({.host = "h1", .name = "o\tdd", .disks = fleet_image_disk("/h1/odd.img")});
  rig.request.name_template = "{uuid}-{dev}";
  const FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 1);
  CHECK_THAT(refusals(survey), Contains("plan: 'name' holds a control character"));
}

TEST_CASE("a host that cannot be asked stops no other", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web"});
  rig.add({.host = "h2", .name = "db"});
  rig.add({.host = "h2", .name = "mail"});
  rig.request.hosts.push_back("qemu+ssh://h9/system");
  FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 3);
  CHECK_THAT(lines(survey.troubles), Contains("qemu+ssh://h9/system: connect: no route to host"));
  CHECK_THAT(lines(survey.plan.head), Contains("trouble: qemu+ssh://h9/system"));
  // One that goes away while its second guest is looked at: what it said so far counts.
  const auto to_second = [](const std::string& what) { return what.starts_with("h2: "); };
  const auto& log = rig.world->log();
  const auto all = std::count_if(log.begin(), log.end(), to_second);
  ptrdiff_t calls = 0;
  rig.world->hook = [&](unsigned, const std::string& what) {
    calls += to_second(what) ? 1 : 0;
    if (to_second(what) && calls > all * 3 / 4) {
      refuse(ErrorKind::kIo, "h2", "connection reset");
    }
  };
  rig.request.hosts.pop_back();
  survey = rig.plan();
  CHECK_THAT(lines(survey.troubles), Contains("h2: connection reset"));
  CHECK(survey.plan.jobs.size() == 2);
  CHECK(survey.refused.empty());
}

TEST_CASE("a guest that cannot move live is shut down only if nothing was said", "[fleet]") {
  FleetRig rig(1);
  rig.world->images["/h1/odd.img"] = {.size = kFleetDiskBytes, .own = {{0, 1}}};
  rig.add({.host = "h1",
           .name = "odd",
           .running = true,
           .disks = fleet_image_disk("/h1/odd.img", "type='raw' copy_on_read='on'")});
  FleetSurvey survey = rig.plan();
  CHECK(job_of(survey, "odd").way == MigrateMode::kOffline);
  CHECK_THAT(lines(job_of(survey, "odd").remarks),
             Contains("it will be shut down: it cannot move live: disk vda: it has copy_on_read"));
  rig.request.way = MigrateMode::kLive;
  survey = rig.plan();
  CHECK(survey.plan.jobs.empty());
  CHECK_THAT(refusals(survey), Contains("copy_on_read"));
}

TEST_CASE("a fleet's plan gives no two guests one volume", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web"});
  rig.add({.host = "h2", .name = "web"});
  const FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 1);
  CHECK_THAT(refusals(survey),
             Contains("web on h2: the volume rbd:vms/web-vda is web on h1's already"));
  rig.request.name_template = "{uuid}-{dev}";
  CHECK(rig.plan().plan.jobs.size() == 2);
  rig.request.name_template = "{what}";
  CHECK_THROWS_AS(rig.plan(), Error);
}

TEST_CASE("only the guests that were named are in a fleet's plan", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web"});
  rig.add({.host = "h1", .name = "db"});
  rig.add({.host = "h2", .name = "mail"});
  rig.request.guests = {"db", "mail", "nobody"};
  const FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 2);
  CHECK(lines(survey.troubles) == "no host that was asked has a guest nobody");
}

TEST_CASE("a host that is named twice is asked for its guests once", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web"});
  rig.world->hosts["h2"] = rig.world->hosts["h1"];
  FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 1);
  CHECK(survey.troubles.empty());
  CHECK_THAT(lines(survey.left_out), Contains("qemu:///h2: it is h1, as qemu:///h1 is"));
  rig.world->hosts["h2"].facts.uuid = "another";
  survey = rig.plan();
  CHECK_THAT(lines(survey.troubles), Contains("qemu:///h2: it calls itself h1"));
}

TEST_CASE("a fleet's plan sums up data, room and time", "[fleet]") {
  FleetRig rig(1);
  rig.add({.host = "h1", .name = "web", .running = true});
  rig.add({.host = "h1", .name = "db", .running = true});
  rig.request.limits.bandwidth = 1024;
  FleetSurvey survey = rig.plan();
  const std::string sums = lines(survey.sums);
  CHECK_THAT(sums, Contains("2 guests on 1 host: 2 live, 0 offline; 1.0 MiB of data to copy"));
  CHECK_THAT(sums, Contains("time: 18 min at 1.0 KiB/s"));
  CHECK_THAT(sums, Contains("pool vms: 1.0 MiB of data, 3.0 MiB on its disks (3 for each byte)"));
  CHECK_THAT(sums, Contains("h1: 64.0 GiB free in the file system of /h1 for what 2 guests at once "
                            "write meanwhile, 32.0 GiB for each of 2 disks"));
  CHECK(survey.troubles.empty());
  rig.world->room = 400 << 20;  // more than what is kept for the host
  rig.world->pools["vms"].until_nearly_full = 900'000;
  survey = rig.plan();
  CHECK_THAT(lines(survey.sums), Contains("warning: h1: that is little"));
  CHECK_THAT(lines(survey.troubles), Contains("with 1.0 MiB of data the cluster becomes nearly"));
  // Each of them would fit, but not all.
  rig.world->pools["vms"].available = 900'000;
  survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 2);
  CHECK_THAT(lines(survey.troubles), Contains("pool vms has no room for all"));
}

TEST_CASE("a fleet's plan says what sharing a backing image would save", "[fleet]") {
  FleetRig rig(1);
  rig.world->images["/h1/base.qcow2"] = {
      .format = "qcow2", .size = kFleetDiskBytes, .own = {{2, 4}, {3, 5}}};
  for (const char* name : {"a", "b", "c"}) {
    const std::string path = fmt::format("/h1/{}.qcow2", name);
    rig.world->images[path] = {
        .format = "qcow2", .size = kFleetDiskBytes, .backing = "/h1/base.qcow2", .own = {{0, 1}}};
    rig.add({.host = "h1", .name = name, .disks = fleet_image_disk(path, "type='qcow2'")});
  }
  const FleetSurvey survey = rig.plan();
  CHECK(survey.plan.jobs.size() == 3);
  CHECK_THAT(lines(survey.sums), Contains("h1: /h1/base.qcow2 is below the disks of 3 guests") &&
                                     Contains("would save 768.0 KiB at most"));
}

TEST_CASE("guests of a host that is far away are planned, and looked at less", "[fleet]") {
  FleetRig rig(2);
  rig.add({.host = "h1", .name = "web", .running = true});
  rig.add({.host = "h1", .name = "db"});
  rig.world->hosts["h1"].facts.local = false;
  rig.world->hosts["h1"].facts.rbd_driver = std::nullopt;
  FleetSurvey survey = rig.plan();
  INFO(refusals(survey));
  CHECK(survey.plan.jobs.size() == 2);
  CHECK(job_of(survey, "web").way == MigrateMode::kLive);
  CHECK_THAT(lines(survey.sums), Contains("h1: room for the overlays of 1 guest is not known") &&
                                     Contains("warning: every guest of h1: QEMU's rbd driver"));
  CHECK(rig.calls("image_usage") == 0);
  // A target that each host would take for itself.
  rig.request.to = "qemu:///h2";
  rig.request.hosts = {"qemu:///h1"};
  survey = rig.plan();
  CHECK(survey.plan.jobs.empty());
  CHECK_THAT(refusals(survey), Contains("it means the host itself where h1 uses it"));
  rig.world->hosts["h2"].facts.local = false;
  survey = rig.plan();
  INFO(refusals(survey));
  CHECK(job_of(survey, "web").target_host == "h2");
  CHECK(job_of(survey, "web").to == "qemu:///h2");
}

TEST_CASE("a plan is checked again, and what changed is named", "[fleet]") {
  FleetRig rig(2);
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    rig.add({.host = "h1", .name = name});
  }
  rig.add({.host = "h2", .name = "f"});
  FleetPlan plan = rig.plan().plan;
  plan.jobs[0].disks[0].target.image = "by-hand";
  FleetSurvey survey = rig.check(plan);
  INFO(refusals(survey));
  CHECK(survey.plan.jobs.size() == 6);
  CHECK(survey.troubles.empty());
  CHECK(survey.plan.jobs[0].disks[0].target.image == "by-hand");

  auto& domains = rig.world->hosts["h1"].domains;
  domains["a"].snapshots = 1;
  domains["b"].uuid = "6b1c2a3e-55d1-4f5c-9f0e-999999999999";
  domains.erase("c");
  rig.world->images["rbd:vms/d-vda"] = {.size = 1};
  plan.jobs[4].way = MigrateMode::kLive;  // of a guest that is shut off
  plan.jobs[5].host = "h7";
  survey = rig.check(plan);
  CHECK(survey.plan.jobs.empty());
  const std::string said = refusals(survey);
  CHECK_THAT(said, Contains("a on h1: snapshots: "));
  CHECK_THAT(said, Contains("b on h1: UUID: it is another guest of that name now"));
  CHECK_THAT(said, Contains("c on h1: domain c: no domain of that name"));
  CHECK_THAT(said, Contains("d on h1: volume rbd:vms/d-vda: exists already"));
  CHECK_THAT(said, Contains("e on h1: state: the domain is shut off"));
  CHECK_THAT(said, Contains("f on h2: host: qemu:///h2 leads to h2 now, and the plan has h7"));
}

TEST_CASE("without its pool there is no plan of a fleet", "[fleet]") {
  FleetRig rig(1);
  rig.add({.host = "h1", .name = "web"});
  rig.request.pool = "none";
  CHECK_THROWS_WITH(rig.plan(), Contains("pool none: there is no such pool"));
}

}  // namespace vmferry::test
