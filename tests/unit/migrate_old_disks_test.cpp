// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// What becomes of the old disks: --delete-source removes what was copied and nobody else needs.

namespace vmferry::test {
namespace {

constexpr const char* kOld = "/img/web1.img";

const WayUnderTest& way(const std::string& name) {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name == name) {
      return way;
    }
  }
  throw std::logic_error(name);
}

std::string machine_with(const std::string& name, const std::string& format,
                         const std::string& path) {
  return "<domain type='kvm'><name>" + name + "</name><uuid>11111111-2222-4333-8444-" + name +
         "</uuid><devices><disk type='file' device='disk'><driver name='qemu' type='" + format +
         "'/><source file='" + path +
         "'/><target dev='vda' bus='virtio'/></disk></devices></domain>";
}

/// Another machine on the host, shut off.
void add_machine(Rig& rig, const std::string& format, const std::string& path) {
  DomainData domain;
  domain.name = domain.uuid = "555555555555";
  domain.stored = machine_with(domain.name, format, path);
  rig.alpha().domains[domain.name] = domain;
}

std::string warnings_of(const Plan& plan) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (check.result == Check::Result::kWarning) {
      text += check.name + ": " + check.message + "\n";
    }
  }
  return text;
}

/// After `change` the old image of vda stays, and before that the check said so.
void check_stays(const std::function<void(Rig&)>& change, const std::string& reason) {
  for (const char* const name :
       {"staged here, old images deleted", "offline here, shut off before, old images deleted"}) {
    INFO(name << ", " << reason);
    Rig rig(way(name));
    change(rig);
    const Plan plan = rig.plan();
    CHECK(warnings_of(plan).find(std::string("old disk of vda: ") + kOld +
                                 " will stay: " + reason) != std::string::npos);
    const Outcome outcome = rig.run(plan);
    CHECK(outcome.done());
    CHECK(rig.said_to_stay(kOld));
    CHECK(rig.said().find(reason) != std::string::npos);
    CHECK(rig.world().images.contains(kOld));
    CHECK_FALSE(rig.world().images.contains("/img/web1-data.qcow2"));
  }
}

}  // namespace

TEST_CASE("an old image that another domain names, or is based on, is not deleted", "[migrate]") {
  check_stays([](Rig& rig) { add_machine(rig, "raw", kOld); },
              "domain 555555555555 needs it for vda");
  check_stays(
      [](Rig& rig) {
        rig.world().images["/img/clone.qcow2"] = {.format = "qcow2", .backing = kOld};
        rig.others = {"/img/clone.qcow2"};
        add_machine(rig, "qcow2", "/img/clone.qcow2");
      },
      "domain 555555555555 needs it for vda");
}

TEST_CASE("an old image stays where nobody can tell who needs it", "[migrate]") {
  Rig rig(way("staged here, old images deleted"));
  rig.world().images["/img/other.dmg"] = {};
  rig.others = {"/img/other.dmg"};
  add_machine(rig, "dmg", "/img/other.dmg");
  CHECK(rig.run(rig.plan()).done());
  CHECK(rig.said_to_stay(kOld));
  CHECK(rig.said().find("domain 555555555555 may need it: /img/other.dmg is dmg") !=
        std::string::npos);
  CHECK(rig.problems_if_moved() == std::vector<std::string>());
}

TEST_CASE("a machine that comes to need an old image during the move keeps it", "[migrate]") {
  Rig rig(way("staged here, old images deleted"));
  const Plan plan = rig.plan();
  CHECK(warnings_of(plan).empty());
  add_machine(rig, "raw", kOld);
  CHECK(rig.run(plan).done());
  CHECK(rig.said_to_stay(kOld));
}

TEST_CASE("a file that took the place of an old image is not deleted", "[migrate]") {
  Rig rig(way("offline here, shut off before, old images deleted"));
  const Plan plan = rig.plan();
  rig.world().hook = [&](unsigned, const std::string& call) {
    if (call == "alpha: domains") {
      rig.world().images[kOld].file = 7;
    }
  };
  CHECK(rig.run(plan).done());
  CHECK(rig.said_to_stay(kOld));
  CHECK(rig.world().images.contains(kOld));
}

TEST_CASE("an old volume that another domain names is not deleted", "[migrate]") {
  Rig rig(way("back to files, offline, old volumes deleted"));
  DomainData domain;
  domain.name = domain.uuid = "spare";
  domain.stored =
      "<domain type='kvm'><name>spare</name><devices><disk type='network' device='disk'>"
      "<source protocol='rbd' name='vms/old-a'/><target dev='vda'/></disk></devices></domain>";
  rig.alpha().domains["spare"] = domain;
  CHECK(rig.run(rig.plan()).done());
  CHECK(rig.said_to_stay("rbd:vms/old-a"));
  CHECK(rig.problems_if_moved() == std::vector<std::string>());
}

}  // namespace vmferry::test
