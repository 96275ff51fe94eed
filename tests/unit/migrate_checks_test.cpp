// SPDX-License-Identifier: LGPL-2.1-or-later
#include <functional>

#include "lib/migrate/facts.h"
#include "lib/migrate/xml_text.h"
#include "tests/unit/catch.h"
#include "tests/unit/fake_definition.h"

// The pure part of planning: facts by hand, the checks and the way that follow.

namespace vmferry::test {
namespace {

using migrate::DiskFacts;
using migrate::Facts;
using migrate::LeftDisk;
using migrate::SecretState;
using migrate::Way;

constexpr const char* kMachine = R"(<domain type='kvm'><name>web1</name>
<uuid>6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f</uuid><devices>
<disk type='file' device='disk'><source file='/img/a.img'/><target dev='vda'/></disk>
</devices></domain>)";

HostFacts host(const std::string& name) {
  return {.uri = "qemu:///" + name,
          .hostname = name,
          .uuid = "uuid-of-" + name,
          .libvirt = 9000000,
          .hypervisor = 7002000,
          .local = true,
          .rbd_driver = true};
}

/// Of a machine that runs, with which nothing is wrong.
Facts good_facts() {
  Facts facts;
  facts.source = facts.target = host("alpha");
  facts.state = DomainState::kRunning;
  facts.live = facts.stored = parse_domain(kMachine, "web1");
  facts.migratable_live = facts.migratable_stored = kMachine;
  DiskFacts disk;
  disk.disk = facts.live.disks.front();
  disk.move.dev = "vda";
  disk.move.original = "/img/a.img";
  disk.move.image.path = "/img/a.img";
  disk.move.volume = {"vms", "web1-vda"};
  disk.move.size = uint64_t{4} << 30;
  disk.move.data = uint64_t{1} << 30;
  disk.move.overlay = "/img/overlay";
  disk.overlay_room = uint64_t{100} << 30;
  facts.disks = {disk};
  facts.file_room = uint64_t{100} << 30;
  facts.pools["vms"].exists = facts.pools["vms"].for_rbd = true;
  facts.pools["vms"].available = uint64_t{1} << 40;
  facts.secrets = {{.host = "alpha", .state = SecretState::kMatches}};
  facts.rewritten_live = facts.rewritten_stored = kMachine;
  return facts;
}

MigrateRequest request_to_pool() {
  MigrateRequest request;
  request.domain = "web1";
  request.pool = "vms";
  request.user = "libvirt";
  request.secret.usage = "ceph";
  return request;
}

void to_beta(MigrateRequest& request, Facts& facts) {
  request.to = "qemu:///beta";
  facts.other_host = true;
  facts.target = host("beta");
  facts.leaving.endpoint = "tcp://192.0.2.1";
  facts.leaving.tried = true;
}

void left_at(Facts& facts, LeftDisk::Reach reach) {
  LeftDisk left;
  left.dev = "vdb";
  left.image = "/img/b.img";
  left.reach = reach;
  facts.leaving.left = {left};
}

std::string failures(const Plan& plan, Check::Result result = Check::Result::kFailed) {
  std::string names;
  for (const Check& check : plan.checks) {
    if (check.result == result) {
      names += (names.empty() ? "" : "; ") + check.name;
    }
  }
  return names;
}

struct BadCase {
  std::string check;  ///< the name of the one that fails
  std::function<void(MigrateRequest&, Facts&)> spoil;
};

const std::vector<BadCase>& bad_cases() {
  static const std::vector<BadCase> kCases = {
      {"target host",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.target = facts.source;
       }},
      {"target host",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.target.hostname = facts.source.hostname;
       }},
      {"where it runs",
       [](auto& request, auto& facts) {
         facts.source.local = false;
         request.mode = MigrateMode::kOffline;
       }},
      {"QEMU's rbd driver at the source",
       [](auto& request, auto& facts) {
         facts.source.rbd_driver = false;
         request.method = MigrateMethod::kStaged;
       }},
      {"QEMU's rbd driver at the target",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.target.rbd_driver = false;
       }},
      {"state", [](auto&, auto& facts) { facts.state = DomainState::kOther; }},
      {"state",
       [](auto& request, auto& facts) {
         facts.state = DomainState::kShutOff;
         request.mode = MigrateMode::kLive;
       }},
      {"definition", [](auto&, auto& facts) { facts.persistent = false; }},
      {"jobs", [](auto&, auto& facts) { facts.migrating = true; }},
      {"jobs", [](auto&, auto& facts) { facts.disks[0].job_running = true; }},
      {"quiesce", [](auto& request, auto&) { request.quiesce = true; }},
      {"snapshots", [](auto&, auto& facts) { facts.snapshots = 2; }},
      {"saved state",
       [](auto&, auto& facts) {
         facts.state = DomainState::kShutOff;
         facts.saved = true;
       }},
      {"NVRAM",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.state = DomainState::kShutOff;
         facts.live.has_nvram = true;
       }},
      {"TPM",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.state = DomainState::kShutOff;
         facts.live.has_tpm = true;
       }},
      {"host devices",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.live.hostdevs = {"pci"};
       }},
      {"devices",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.live.tied_devices = {"shared memory s"};
       }},
      {"QEMU",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.leaving.blockers = {"a 9p file system is mounted"};
       }},
      {"certificates",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.leaving.certificates = {.failure = "none", .hint = "make some"};
       }},
      {"way to the target",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.leaving.route = {.failure = "no answer", .hint = "is it up?"};
       }},
      {"disk vdb",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         left_at(facts, LeftDisk::Reach::kLocalFile);
       }},
      {"disk vdb",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         left_at(facts, LeftDisk::Reach::kNotSeen);
       }},
      {"disk vdb",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         left_at(facts, LeftDisk::Reach::kSharedFile);
         facts.leaving.left[0].transient = true;
       }},
      {"disk vdb",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         left_at(facts, LeftDisk::Reach::kBound);
       }},
      {"disk vdb",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         left_at(facts, LeftDisk::Reach::kSharedFile);
         facts.leaving.left[0].look.failure = "permission denied";
       }},
      {"disk vda", [](auto&, auto& facts) { facts.disks[0].disk.copy_on_read = true; }},
      {"disks",
       [](auto&, auto& facts) { facts.choice.failure = "no disk of the domain can move"; }},
      {"disk vda", [](auto&, auto& facts) { facts.disks[0].problem.failure = "cannot be read"; }},
      {"old disks",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         request.method = MigrateMethod::kMirror;
         request.delete_source = true;
         facts.source.local = false;
       }},
      {"name at the target",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.state_at_target = DomainState::kRunning;
       }},
      {"name at the target",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.state_at_target = DomainState::kShutOff;
         facts.uuid_at_target = "another";
       }},
      {"UUID at the target",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.name_at_target = "web2";
       }},
      {"network default",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.missing_networks = {"default"};
       }},
      {"media",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         facts.missing_media = {"/iso/a.iso"};
       }},
      {"cluster",
       [](auto&, auto& facts) { facts.access = {.failure = "timed out", .hint = "is it up?"}; }},
      {"pool", [](auto&, auto& facts) { facts.pools["vms"].exists = false; }},
      {"pool", [](auto&, auto& facts) { facts.pools["vms"].for_rbd = false; }},
      {"pool",
       [](auto&, auto& facts) {
         facts.disks.push_back(facts.disks[0]);
         facts.disks[1].move.volume = {"more", "web1-vdb"};
         facts.pools["more"].exists = false;
       }},
      {"room",
       [](auto&, auto& facts) {
         facts.disks.push_back(facts.disks[0]);
         facts.disks[1].move.volume = {"more", "web1-vdb"};
         facts.pools["more"] = facts.pools["vms"];
         facts.pools["more"].available = 1000;
       }},
      {"room", [](auto&, auto& facts) { facts.pools["vms"].full = true; }},
      {"room", [](auto&, auto& facts) { facts.pools["vms"].available = 1000; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kMissing; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kDiffers; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kNoValue; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kOtherUse; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kNoDriver; }},
      {"secret on alpha",
       [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kUnasked; }},
      {"secret on alpha", [](auto&, auto& facts) { facts.secrets[0].state = SecretState::kNoKey; }},
      {"volume rbd:vms/web1-vda", [](auto&, auto& facts) { facts.disks[0].volume = Usage{}; }},
      {"volume rbd:vms/web1-vda",
       [](auto&, auto& facts) { facts.disks.push_back(facts.disks[0]); }},
      {"overlay of vda", [](auto&, auto& facts) { facts.disks[0].overlay_taken = true; }},
      {"overlay of vda", [](auto& request, auto&) { request.overlay_max = uint64_t{200} << 30; }},
      {"file /img/a.img",
       [](auto& request, auto& facts) {
         request.to_dir = "/img";
         facts.disks[0].file_taken = true;
       }},
      {"room for the files",
       [](auto& request, auto& facts) {
         request.to_dir = "/img";
         facts.file_room = 1000;
       }},
      // All disks go to one directory.
      {"room for the files",
       [](auto& request, auto& facts) {
         request.to_dir = "/img";
         facts.file_room = uint64_t{3} << 29;
         facts.disks.push_back(facts.disks[0]);
         facts.disks[1].move.image.path = "/img/b.img";
       }},
      {"overlay of vda",
       [](auto& request, auto&) {
         request.to_dir = "/img";
         request.overlay_max = (uint64_t{100} << 30) - 1000;
       }},
      // A mirror may write all of it.
      {"room for the files",
       [](auto& request, auto& facts) {
         request.to_dir = "/img";
         request.method = MigrateMethod::kMirror;
         facts.file_room = uint64_t{2} << 30;
       }},
      {"where it runs",
       [](auto& request, auto& facts) {
         request.to_dir = "/img";
         request.method = MigrateMethod::kMirror;
         facts.source.local = false;
       }},
      {"to files",
       [](auto& request, auto& facts) {
         to_beta(request, facts);
         request.to_dir = "/img";
       }},
      {"new definition", [](auto&, auto& facts) { facts.rewriting.failure = "it is encrypted"; }},
      {"new definition", [](auto&, auto& facts) { facts.target_takes_stored.failure = "no"; }},
      {"new live definition", [](auto&, auto& facts) { facts.target_takes_live.failure = "no"; }},
  };
  return kCases;
}

}  // namespace

TEST_CASE("nothing is wrong with good facts", "[migrate]") {
  MigrateRequest request = request_to_pool();
  Facts facts = good_facts();
  CHECK(failures(make_plan(request, facts)) == "");
  CHECK(failures(make_plan(request, facts), Check::Result::kWarning) == "");
  CHECK(make_plan(request, facts).possible());
  to_beta(request, facts);
  CHECK(failures(make_plan(request, facts)) == "");
}

TEST_CASE("each check fails for its reason alone, and says what to do", "[migrate]") {
  for (const BadCase& bad : bad_cases()) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    bad.spoil(request, facts);
    const Plan plan = make_plan(request, facts);
    INFO(bad.check);
    CHECK(failures(plan) == bad.check);
    CHECK_FALSE(plan.possible());
    for (const Check& check : plan.checks) {
      if (check.result != Check::Result::kFailed) {
        continue;
      }
      INFO(check.message);
      CHECK_FALSE(check.message.empty());
      // What others said is handed on; they may have said all.
      if (bad.check != "disk vda" && bad.check != "disks" && facts.rewriting.ok()) {
        CHECK_FALSE(check.hint.empty());
      }
    }
  }
}

TEST_CASE("what cannot be known, or is only unwelcome, is a warning", "[migrate]") {
  const auto warnings = [](const std::function<void(MigrateRequest&, Facts&)>& change) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    change(request, facts);
    const Plan plan = make_plan(request, facts);
    CHECK(plan.possible());
    return failures(plan, Check::Result::kWarning);
  };
  CHECK(warnings([](auto&, Facts& facts) { facts.source.rbd_driver.reset(); }) ==
        "QEMU's rbd driver at the source");
  CHECK(warnings([](auto&, Facts& facts) { facts.checkpoints = {"c"}; }) == "checkpoints");
  CHECK(warnings([](auto&, Facts& facts) { facts.pools["vms"].nearly_full = true; }) == "room");
  CHECK(warnings([](auto&, Facts& facts) { facts.pools["vms"].health = "osds are down"; }) ==
        "cluster health");
  CHECK(warnings([](auto&, Facts& facts) {
          facts.pools["vms"].available = std::numeric_limits<uint64_t>::max();
        }) == "room");
  CHECK(warnings([](auto&, Facts& facts) { facts.secrets[0].state = SecretState::kUncompared; }) ==
        "secret on alpha");
  CHECK(warnings([](auto&, Facts& facts) { facts.secrets[0].state = SecretState::kPrivate; }) ==
        "secret on alpha");
  CHECK(warnings([](auto&, Facts& facts) { facts.disks[0].overlay_room = 1000; }) ==
        "overlay of vda");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.live.bridges = {"br0"};
        }) == "bridge br0");
  for (const LeftDisk::Reach reach :
       {LeftDisk::Reach::kNotLooked, LeftDisk::Reach::kDevice, LeftDisk::Reach::kSameMachine,
        LeftDisk::Reach::kSharedFile}) {
    CHECK(warnings([&](MigrateRequest& request, Facts& facts) {
            to_beta(request, facts);
            left_at(facts, reach);
          }) == "disk vdb");
  }
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.live.type = "qemu";
        }) == "emulated guest");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.leaving.asked.failure = "denied";
        }) == "QEMU");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.leaving.tried = false;
        }) == "way to the target");
}

TEST_CASE("what is in an image and does not move is named before", "[migrate]") {
  const auto message = [](bool delete_source, const std::string& stays) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    request.delete_source = delete_source;
    facts.disks[0].parts.snapshots = {"before-upgrade", "older"};
    facts.disks[0].source_stays = stays;
    for (const Check& check : make_plan(request, facts).checks) {
      if (check.name == "snapshots in vda" && check.result == Check::Result::kWarning) {
        return check.message;
      }
    }
    return std::string();
  };
  const std::string held =
      "the image holds 2 snapshots (\"before-upgrade\", ...), which do not move";
  CHECK(message(false, "") == held + ": they stay in it");
  CHECK(message(true, "it is a link") == held + ": they stay in it");
  CHECK(message(true, "") == held + " and are deleted with it");
}

TEST_CASE("the way follows from the request and few facts", "[migrate]") {
  struct Row {
    DomainState state;
    MigrateMode mode;
    MigrateMethod method;
    bool to;
    bool local;
    std::optional<bool> driver;
    std::string way;
  };
  using enum DomainState;
  constexpr auto kAnyMode = MigrateMode::kAuto;
  constexpr auto kAnyMethod = MigrateMethod::kAuto;
  const std::vector<Row> rows = {
      {kRunning, kAnyMode, kAnyMethod, false, true, true, "staged"},
      {kPaused, kAnyMode, kAnyMethod, false, true, {}, "staged"},
      {kRunning, kAnyMode, kAnyMethod, true, true, true, "staged"},
      {kRunning, kAnyMode, kAnyMethod, true, true, false, "mirror"},
      {kRunning, kAnyMode, kAnyMethod, true, false, {}, "mirror"},
      {kRunning, kAnyMode, MigrateMethod::kMirror, false, true, true, "mirror"},
      {kRunning, kAnyMode, MigrateMethod::kStaged, true, false, {}, "staged"},
      {kRunning, MigrateMode::kOffline, kAnyMethod, true, true, true, "offline"},
      {kShutOff, kAnyMode, kAnyMethod, false, true, true, "offline"},
      {kShutOff, MigrateMode::kLive, kAnyMethod, false, true, true, "staged"},
  };
  for (const Row& row : rows) {
    MigrateRequest request = request_to_pool();
    request.mode = row.mode;
    request.method = row.method;
    if (row.to) {
      request.to = "qemu:///beta";
    }
    HostFacts source = host("alpha");
    source.local = row.local;
    source.rbd_driver = row.driver;
    const Way way = migrate::choose_way(request, row.state, source);
    CHECK((!way.live ? "offline" : way.staged ? "staged" : "mirror") == row.way);
    CHECK(way.mirrored_away() == (row.way == "mirror" && row.to));
  }
  MigrateRequest back = request_to_pool();
  back.to_dir = "/back";
  CHECK(migrate::choose_way(back, kRunning, host("alpha")).staged);
  back.method = MigrateMethod::kMirror;
  CHECK_FALSE(migrate::choose_way(back, kRunning, host("alpha")).staged);
}

TEST_CASE("texts for libvirt and QEMU escape what they must", "[migrate]") {
  const std::string nasty = "/img/<a> & 'b' \"c\" ü.qcow2";
  Plan plan;
  MovingDisk disk;
  disk.dev = "vda";
  disk.overlay = nasty;
  disk.bridge = nasty;
  disk.volume = {"po:ol", "im@a/ge=\\x & <y>"};
  plan.disks = {disk};
  const auto overlays =
      read_snapshot(migrate::snapshot_definition(plan, parse_domain(kMachine, "web1")));
  REQUIRE(overlays.count("vda") == 1);
  CHECK(overlays.at("vda").image == nasty);
  CHECK(overlays.at("vda").format == "qcow2");

  MigrateRequest request;
  request.user = "us:er";
  request.ceph_conf = "/etc/ceph/a=b:c.conf";
  request.monitors = {{"10.0.0.1", 6789}, {"::1", 3300}};
  request.secret.usage = "the \"secret\"";
  const std::vector<Layer> chain = read_disk_chain(migrate::bridge_disk(request, disk));
  REQUIRE(chain.size() == 2);
  CHECK(chain[0].image == nasty);
  CHECK(chain[1].image == "rbd:po:ol/im@a/ge=\\x & <y>");
  CHECK(chain[1].format == "raw");
  CHECK(chain[1].secret == "the \"secret\"");
  CHECK(migrate::qemu_volume_name(request, disk.volume) ==
        R"(rbd:po\:ol/im\@a\/ge\=\\x & <y>:conf=\/etc\/ceph\/a\=b\:c.conf:id=us\:er:mon_host=)"
        R"(10.0.0.1\:6789;[\:\:1]\:3300)");
}

TEST_CASE("a disk that stays is left out of the snapshot by name", "[migrate]") {
  Plan plan;
  const std::string text = migrate::snapshot_definition(plan, parse_domain(kMachine, "web1"));
  CHECK(text.find("name=\"vda\" snapshot=\"no\"") != std::string::npos);
  CHECK(read_snapshot(text).empty());
}

}  // namespace vmferry::test
