// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/migrate_facts_by_hand.h"

namespace vmferry::test {

using migrate::DiskFacts;
using migrate::Facts;
using migrate::LeftDisk;
using migrate::SecretState;

HostFacts host(const std::string& name) {
  return {.uri = "qemu:///" + name,
          .hostname = name,
          .uuid = "uuid-of-" + name,
          .libvirt = 9000000,
          .hypervisor = 7002000,
          .local = true,
          .rbd_driver = true};
}

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

std::string failures(const Plan& plan, Check::Result result) {
  std::string names;
  for (const Check& check : plan.checks) {
    if (check.result == result) {
      names += (names.empty() ? "" : "; ") + check.name;
    }
  }
  return names;
}

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
      {"state",
       [](auto& request, auto&) {
         request.mode = MigrateMode::kOffline;
         request.no_shutdown = true;
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
      {"base",
       [](auto& request, auto& facts) {
         request.bases = {{"vda", "rbd:vms/golden@v1"}};
         facts.disks[0].base_access = {.failure = "no such snapshot", .hint = "make it"};
       }},
      {"base",
       [](auto& request, auto&) {
         request.bases = {{"vdz", "rbd:vms/golden@v1"}};
       }},
      {"base",
       [](auto& request, auto&) {
         request.bases = {{"vda", "rbd:vms/golden@v1"}};
         request.method = MigrateMethod::kMirror;
       }},
      {"domain", [](auto& request, auto&) { request.uuid = "11111111-1111-4111-8111-111111111111"; }},
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
      {"room", [](auto&, auto& facts) { facts.disks[0].states = uint64_t{2} << 40; }},
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
      {"overlay of vda", [](auto&, auto& facts) { facts.disks[0].overlay_room = 256 << 20; }},
      {"overlay of vda",
       [](auto&, auto& facts) {
         facts.warm.kind = RunKind::kSync;
         facts.disks[0].overlay_room = 100 << 20;
       }},
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
      {"compression",
       [](auto& request, auto&) {
         request.to_dir = "/img";
         request.file_layout = {.format = *find_format("qcow2"), .compression = "zstd"};
         request.method = MigrateMethod::kMirror;
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

}  // namespace vmferry::test
