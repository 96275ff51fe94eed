// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "lib/domain/snapshot_facts.h"
#include "tests/unit/catch.h"
#include "tests/unit/migrate_facts_by_hand.h"
#include "tests/unit/migrate_rig.h"

// What libvirt knows of snapshots: which of them go with their disks.

namespace vmferry::test {
namespace {

using migrate::Facts;
using Where = DomainSnapshot::Where;
using Problems = std::vector<std::string>;

/// Of kMachine, with an image of its disk.
std::string snapshot_of(const std::string& name, const std::string& memory, const std::string& disk,
                        const std::string& image = "/img/a.img") {
  return fmt::format(
      "<domainsnapshot>\n<name>{}</name><memory {}/><disks><disk name='vda' {}/></disks>"
      "<domain><devices><disk type='file' device='disk'><source file='{}'/><target dev='vda'/>"
      "</disk><disk device='cdrom'><target dev='sda'/></disk></devices></domain>"
      "</domainsnapshot>",
      name, memory, disk, image);
}

constexpr const char* kNoMemory = "snapshot='no'";
constexpr const char* kInside = "snapshot='internal'";
constexpr const char* kBeside = "snapshot='external'";

/// Of a machine that is shut off, with a snapshot inside of its image and a layer below it.
Facts facts_with(const std::vector<std::string>& known) {
  Facts facts = good_facts();
  facts.state = DomainState::kShutOff;
  facts.snapshots = static_cast<unsigned>(known.size());
  for (const std::string& text : known) {
    facts.known_snapshots.push_back(read_domain_snapshot(text, "a snapshot"));
  }
  facts.disks[0].parts.snapshots = {"one"};
  facts.disks[0].parts.backing = {"/img/base.img"};
  return facts;
}

/// What the checks say of them: "FAILED name: message".
std::string said_of(const MigrateRequest& request, const Facts& facts) {
  std::string said;
  for (const Check& check : make_plan(request, facts).checks) {
    if (check.name.find("snapshot") == std::string::npos &&
        check.name.find("layers") == std::string::npos) {
      continue;
    }
    const char* result = check.result == Check::Result::kFailed    ? "FAILED "
                         : check.result == Check::Result::kWarning ? "warning "
                                                                   : "";
    said += fmt::format("{}{}: {}\n", result, check.name, check.message);
  }
  return said;
}

MigrateRequest with_snapshots() {
  MigrateRequest request = request_to_pool();
  request.snapshots = true;
  return request;
}

MigrateRequest with_layers() {
  MigrateRequest request = request_to_pool();
  request.chain_as_snapshots = true;
  return request;
}

}  // namespace

TEST_CASE("the definition of a snapshot is read", "[domain]") {
  const DomainSnapshot inside =
      read_domain_snapshot(snapshot_of("a &amp; b", kNoMemory, kInside), "x");
  CHECK(inside.name == "a & b");
  CHECK(inside.memory == Where::kNowhere);
  REQUIRE(inside.disks.size() == 1);
  CHECK(inside.disks[0].dev == "vda");
  CHECK(inside.disks[0].state == Where::kInside);
  CHECK(inside.disks[0].image.path == "/img/a.img");

  const DomainSnapshot beside = read_domain_snapshot(
      snapshot_of("b", "snapshot='external' file='/img/memory'", kBeside), "x");
  CHECK(beside.memory == Where::kBeside);
  CHECK(beside.memory_file == "/img/memory");
  CHECK(beside.disks.at(0).state == Where::kBeside);

  CHECK(read_domain_snapshot(snapshot_of("c", kNoMemory, kNoMemory), "x").disks.empty());
  // Of an old libvirt.
  CHECK(read_domain_snapshot("<domainsnapshot><name>d</name><domain><devices><disk device='disk'>"
                             "<target dev='vda'/></disk></devices></domain></domainsnapshot>",
                             "x")
            .disks.at(0)
            .state == Where::kInside);
  for (const char* bad : {"", "<domain/>", "<domainsnapshot>", "<!DOCTYPE a><domainsnapshot/>"}) {
    CHECK_THROWS_AS(read_domain_snapshot(bad, "x"), Error);
  }
}

TEST_CASE("snapshots that libvirt knows of move with those inside of the images", "[migrate]") {
  const Facts facts = facts_with({snapshot_of("one", kNoMemory, kInside)});
  CHECK(said_of(with_snapshots(), facts) ==
        "snapshots: 1: what libvirt knows of them is saved beside the journal and taken from "
        "libvirt\n"
        "snapshots in vda: 1 become snapshots of rbd:vms/web1-vda\n");
  const Plan plan = make_plan(with_snapshots(), facts);
  CHECK(plan.snapshots == std::vector<std::string>{"one"});
  std::string steps;
  for (const Step& step : plan.steps) {
    steps += step.name + " ";
  }
  CHECK(steps == "copy-offline forget-snapshots define check-definitions ");

  CHECK(said_of(request_to_pool(), facts).starts_with("FAILED snapshots: the domain has 1"));
  Facts running = facts;
  running.state = DomainState::kRunning;
  CHECK(said_of(with_snapshots(), running).starts_with("FAILED snapshots: the domain has 1"));
  Facts unread = facts;
  unread.known_snapshots.clear();
  unread.snapshots_read.failure = "libvirt is away";
  CHECK(said_of(with_snapshots(), unread).starts_with("FAILED snapshots: libvirt is away"));
}

TEST_CASE("memory of the machine is said to be lost", "[migrate]") {
  CHECK(said_of(with_snapshots(), facts_with({snapshot_of("one", kInside, kInside)}))
            .starts_with("warning snapshot one: the machine's memory in it is lost"));
  // libvirt does not know of that one.
  Facts facts = facts_with({});
  facts.disks[0].parts.memories = {"one"};
  CHECK(
      said_of(with_snapshots(), facts).find("warning snapshot one in vda: the machine's memory") !=
      std::string::npos);
  CHECK(said_of(with_layers(), facts_with({snapshot_of("one", "snapshot='external' file='/m'",
                                                       kBeside, "/img/base.img")}))
            .starts_with("warning snapshot one: the machine's memory in it is lost"));
}

TEST_CASE("what cannot be kept of libvirt's snapshots is refused", "[migrate]") {
  struct Case {
    std::string snapshot;
    MigrateRequest request;
    std::string says;
  };
  const std::vector<Case> cases = {
      {snapshot_of("one", kNoMemory, kBeside, "/img/base.img"), with_snapshots(),
       "that of vda is /img/base.img, not inside of its image"},
      {snapshot_of("one", kNoMemory, kInside), with_layers(), "is inside of its image"},
      {snapshot_of("one", "snapshot='external' file='/img/m'", kNoMemory), with_snapshots(),
       "it holds the machine's memory only, in /img/m"},
      {snapshot_of("one", kNoMemory, kNoMemory), with_snapshots(), "the state of no disk"},
      {snapshot_of("two", kNoMemory, kInside), with_snapshots(),
       "libvirt knows of it, but it is not in the image of vda"},
      {snapshot_of("one", kNoMemory, kInside, "/img/old.img"), with_snapshots(),
       "is in /img/old.img, which is not its image any more"},
      {snapshot_of("one", kNoMemory, kBeside, "/img/other.img"), with_layers(),
       "is /img/other.img, which is not below the image of now"},
  };
  for (const Case& bad : cases) {
    const std::string said = said_of(bad.request, facts_with({bad.snapshot}));
    INFO(said);
    CHECK(said.starts_with("FAILED snapshot "));
    CHECK(said.find(bad.says) != std::string::npos);
  }
  Facts facts = facts_with({});
  facts.disks[0].parts.snapshots.assign(511, "s");
  CHECK(said_of(with_snapshots(), facts).find("FAILED snapshots in vda: there are 511") !=
        std::string::npos);
}

TEST_CASE("layers of a chain move as snapshots", "[migrate]") {
  const Facts facts = facts_with({snapshot_of("one", kNoMemory, kBeside, "/img/base.img")});
  CHECK(said_of(with_layers(), facts)
            .find("layers of vda: 1 become snapshots of "
                  "rbd:vms/web1-vda") != std::string::npos);
  CHECK(make_plan(with_layers(), facts).possible());
  Facts running = facts_with({});
  running.state = DomainState::kRunning;
  CHECK(said_of(with_layers(), running).find("FAILED layers of vda") != std::string::npos);
}

TEST_CASE("a snapshot that is taken after the plan stops the move", "[migrate]") {
  Rig rig(way_named("offline here, shut off before, with snapshots"));
  const Plan plan = rig.plan();
  const KnownSnapshot late = {.name = "late", .definition = "<domainsnapshot/>"};
  rig.guest().known_snapshots.push_back(late);
  const Outcome outcome = rig.run(plan);
  CHECK(outcome.error == ErrorKind::kConflict);
  CHECK(outcome.message.find("the snapshot late was taken meanwhile") != std::string::npos);
  CHECK_FALSE(rig.has_journal());
  rig.guest().known_snapshots.pop_back();
  CHECK(rig.problems_if_untouched() == Problems());
}

TEST_CASE("a machine that is gone leaves what libvirt knew of its snapshots", "[migrate]") {
  Rig rig(way_named("offline here, shut off before, with snapshots"));
  rig.world().arm(1, Fault::kKillAfter, "alpha: forget_snapshot");
  CHECK(rig.run(rig.plan_of_way()).killed);
  rig.world().arm(0, Fault::kNone);
  rig.alpha().domains.clear();
  CHECK(rig.recover(Recovery::kUndo).done());
  CHECK(rig.said().find("what libvirt knew of its snapshots is kept: ") != std::string::npos);
  CHECK(rig.state_text().find("<domainsnapshot><name>three</name>") != std::string::npos);
}

}  // namespace vmferry::test
