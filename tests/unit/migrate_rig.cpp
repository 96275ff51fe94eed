// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/migrate_rig.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace vmferry::test {
namespace fs = std::filesystem;
namespace {

/// What passes on the rig's clock from one look at it to the next.
constexpr std::chrono::milliseconds kBetweenLooks{500};

constexpr uint64_t kDiskBytes = (uint64_t{4} << 30) + 2097152 + 512;

constexpr const char* kOnFiles = R"(
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native'/>
      <source file='/img/web1.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/img/web1-data.qcow2'/>
      <target dev='vdb' bus='virtio'/>
      <serial>D4TA</serial>
    </disk>)";

constexpr const char* kOnVolumes = R"(
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap'/>
      <source protocol='rbd' name='vms/old-a'>
        <auth username='libvirt'>
          <secret type='ceph' uuid='0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f'/>
        </auth>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='rbd' name='vms/old-b'>
        <auth username='libvirt'>
          <secret type='ceph' uuid='0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f'/>
        </auth>
      </source>
      <target dev='vdb' bus='virtio'/>
      <serial>D4TA</serial>
    </disk>)";

std::string machine(const std::string& disks) {
  return fmt::format(R"(<domain type='kvm'>
  <name>{}</name>
  <uuid>{}</uuid>
  <memory unit='KiB'>1048576</memory>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{}
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='/iso/tools.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <interface type='network'><source network='default'/></interface>
  </devices>
</domain>)",
                     kGuestName, kGuestUuid, disks);
}

void place_guest(World& world, const std::string& disks) {
  FakeDomain domain;
  domain.name = kGuestName;
  domain.uuid = kGuestUuid;
  domain.stored = laid_out(machine(disks));
  domain.autostart = true;
  FakeHost& host = world.hosts["alpha"];
  host.domains[kGuestName] = domain;
  // What was on the disks before, as far as the guest has not written over it.
  Guest& guest = world.guests[kGuestUuid];
  guest.counter = 100;
  for (const DefinedDisk& disk : read_definition(domain.stored).disks) {
    if (disk.device == "disk") {
      guest.wrote[disk.dev] = world.view(disk.chain.front().image);
    }
  }
  world.launch(host, host.domains[kGuestName], false);
}

void on_files(World& world) {
  world.images["/img/web1.img"] = {.size = kDiskBytes, .own = {{0, 1}, {1, 2}, {5, 3}}};
  world.images["/img/base.qcow2"] = {
      .format = "qcow2", .size = kDiskBytes, .own = {{2, 4}, {3, 5}, {6, 6}}};
  world.images["/img/web1-data.qcow2"] = {
      .format = "qcow2", .size = kDiskBytes, .backing = "/img/base.qcow2", .own = {{3, 7}}};
  world.foreign.insert("/img/base.qcow2");
  place_guest(world, kOnFiles);
}

void on_volumes(World& world) {
  world.images["rbd:vms/old-a"] = {.size = kDiskBytes, .own = {{0, 1}, {1, 2}, {5, 3}}};
  world.images["rbd:vms/old-b"] = {.size = kDiskBytes, .own = {{2, 4}, {3, 5}}};
  world.images["/back"] = {};
  world.foreign.insert("/back");
  place_guest(world, kOnVolumes);
}

void to_cluster(World& world, MigrateRequest& request) {
  on_files(world);
  request.pool = "vms";
  request.user = "libvirt";
  request.secret.uuid = kSecretUuid;
  request.monitors = {{"10.0.0.1", 6789}, {"::1", 3300}};
}

void to_files(World& world, MigrateRequest& request) {
  on_volumes(world);
  request.to_dir = "/back";
}

void shut_off(World& world) { world.stop(world.hosts["alpha"].domains[kGuestName]); }

/// What a definition says of the disks' drivers, laid out in one way.
std::string drivers_of(const std::string& definition) {
  std::string text;
  for (const DefinedDisk& disk : read_definition(definition).disks) {
    text += disk.dev + ": " + disk.driver + "\n";
  }
  return text;
}

constexpr const char* kBeta = "qemu+unix:///system?socket=/run/beta";

}  // namespace

const std::vector<WayUnderTest>& all_ways() {
  static const std::vector<WayUnderTest> kWays = {
      {"staged here", to_cluster},
      {"staged here, old images deleted",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.delete_source = true;
       }},
      {"staged, then to another host",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.to = kBeta;
       }},
      {"mirrored here",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.method = MigrateMethod::kMirror;
       }},
      {"mirrored to another host",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.method = MigrateMethod::kMirror;
         request.to = kBeta;
       }},
      {"mirrored to another host, definition kept, paused guest, new secret",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         world.hosts["alpha"].domains[kGuestName].state = DomainState::kPaused;
         for (auto& [name, host] : world.hosts) {
           host.secrets.clear();
         }
         request.method = MigrateMethod::kMirror;
         request.to = kBeta;
         request.define_secret = true;
         request.keep_source_definition = true;
       }},
      {"offline here, running before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.mode = MigrateMode::kOffline;
       }},
      {"offline here, shut off before, old images deleted",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         shut_off(world);
         request.delete_source = true;
       }},
      {"offline to another host, running before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.mode = MigrateMode::kOffline;
         request.to = kBeta;
       }},
      {"offline to another host, shut off before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         shut_off(world);
         request.to = kBeta;
       }},
      {"back to files, live", to_files},
      {"back to files, mirrored",
       [](World& world, MigrateRequest& request) {
         to_files(world, request);
         request.method = MigrateMethod::kMirror;
       }},
      {"back to files, offline, old volumes deleted",
       [](World& world, MigrateRequest& request) {
         to_files(world, request);
         request.mode = MigrateMode::kOffline;
         request.delete_source = true;
       }},
  };
  return kWays;
}

const WayUnderTest& way_named(std::string_view name) {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name == name) {
      return way;
    }
  }
  throw std::logic_error(std::string(name));
}

Rig::Rig(const WayUnderTest& way)
    : way_(way.name), world_(std::make_shared<World>()), storage_(world_) {
  // In memory where that is to be had: every step of a journal is made durable.
  std::string dir = (fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
                    "vmferry-test-XXXXXX";
  if (!::mkdtemp(dir.data())) {
    throw std::runtime_error("no temporary directory");
  }
  state_dir_ = dir;
  // Time passes by being asked for, so that no limit of time is ever waited for.
  patience.poll = std::chrono::milliseconds(0);
  // Calls that do not hang are never looked in on: each run makes the same calls.
  patience.watch = std::chrono::seconds(60);
  patience.now = [time = std::make_shared<std::atomic<int64_t>>(0)] {
    return std::chrono::steady_clock::time_point(kBetweenLooks * ++*time);
  };

  for (const std::string name : {"alpha", "beta"}) {
    FakeHost& host = world_->hosts[name];
    host.facts = {.uri = "qemu+unix:///system?socket=/run/" + name,
                  .hostname = name,
                  .uuid = "host-" + name,
                  .libvirt = 9000000,
                  .hypervisor = 7002000,
                  .local = true,
                  .rbd_driver = true};
    host.secrets[kSecretUuid] = kSecretKey;
  }
  world_->key = kSecretKey;
  world_->pools["vms"].exists = true;
  world_->pools["vms"].for_rbd = true;
  world_->pools["vms"].available = uint64_t{1} << 40;
  world_->images["/iso/tools.iso"] = {};
  world_->images["rbd:vms/other"] = {.size = kDiskBytes};
  world_->foreign = {"/iso/tools.iso", "rbd:vms/other"};
  request.domain = kGuestName;
  request.shutdown_timeout = std::chrono::seconds(5);
  way.prepare(*world_, request);
  remember();
}

Rig::~Rig() {
  world_->release();
  std::error_code ignored;
  fs::remove_all(state_dir_, ignored);
}

void Rig::remember() {
  before_ = guest();
  images_before_.clear();
  for (const auto& [name, image] : world_->images) {
    images_before_.insert(name);
  }
}

MigrateContext Rig::context(Listener& listener, std::stop_token stop) {
  MigrateContext context{.source = alpha_host_,
                         .target = nullptr,
                         .storage = &storage_,
                         .observer = &listener,
                         .state_dir = state_dir_,
                         .stop = std::move(stop),
                         .patience = patience};
  std::shared_ptr<Hypervisor> target = beta_host_;
  if (trace) {
    context.source = trace_calls(context.source, "alpha", trace);
    target = trace_calls(target, "beta", trace);
  }
  context.target = request.to.empty() ? context.source : target;
  return context;
}

const Plan& Rig::plan_of_way() const {
  static std::map<std::string, Plan> plans;
  const auto found = plans.find(way_);
  if (found != plans.end()) {
    return found->second;
  }
  return plans.emplace(way_, Rig(way_named(way_)).plan()).first->second;
}

FakeDomain* Rig::present() {
  const auto here = alpha().domains.find(kGuestName);
  const auto there = beta().domains.find(kGuestName);
  const bool is_there = there != beta().domains.end() && there->second.active();
  if (here != alpha().domains.end() && !is_there) {
    return &here->second;
  }
  return there != beta().domains.end() ? &there->second : nullptr;
}

Plan Rig::plan() {
  Listener listener;
  return plan_migration(request, context(listener, {}));
}

Outcome Rig::attempt(const std::function<MigrateReport(const MigrateContext&)>& act,
                     std::stop_token stop) {
  Listener listener;
  Outcome outcome;
  try {
    outcome.report = act(context(listener, std::move(stop)));
  } catch (const Error& error) {
    outcome.error = error.kind();
    outcome.message = error.what();
    outcome.hint = error.hint();
  } catch (const Killed&) {
    outcome.killed = true;
  }
  said_last_ = listener.said + outcome.message + "\n" + outcome.hint + "\n";
  said_ += said_last_;
  return outcome;
}

Outcome Rig::run(const Plan& plan, std::stop_token stop) {
  return attempt([&](const MigrateContext& context) { return execute_migration(plan, context); },
                 std::move(stop));
}

Outcome Rig::recover(Recovery recovery, std::stop_token stop) {
  return attempt(
      [&](const MigrateContext& context) { return recover_migration(request, recovery, context); },
      std::move(stop));
}

bool Rig::has_journal() const { return fs::exists(state_dir_ + "/" + kGuestName + ".json"); }

std::string Rig::state_text() const {
  std::string text;
  for (const auto& entry : fs::directory_iterator(state_dir_)) {
    std::ifstream file(entry.path());
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

FakeDomain* Rig::running() {
  for (auto& [name, host] : world_->hosts) {
    for (auto& [domain_name, domain] : host.domains) {
      if (domain.active() && !domain.incoming) {
        return &domain;
      }
    }
  }
  return nullptr;
}

void Rig::power_off() {
  guest_was_stopped = true;
  if (FakeDomain* domain = running()) {
    world_->stop(*domain);
  }
}

void Rig::power_on() {
  if (running()) {
    return;
  }
  // Its disks of now are where it ran last; who starts an old copy of it gets an old state.
  const std::string last = world_->guests.at(kGuestUuid).ran_on;
  FakeHost* host = &world_->hosts.at(last);
  if (!host->domains.contains(kGuestName)) {
    host = last == "alpha" ? &beta() : &alpha();
  }
  const auto found = host->domains.find(kGuestName);
  if (found != host->domains.end() && found->second.state == DomainState::kShutOff) {
    world_->launch(*host, found->second, false);
  }
}

void Rig::undefine_where_it_did_not_run() {
  for (auto& [name, host] : world_->hosts) {
    if (name != world_->guests.at(kGuestUuid).ran_on && !host.domains[kGuestName].active()) {
      host.domains.erase(kGuestName);
    }
  }
}

void Rig::require(bool holds, const std::string& what) {
  if (!holds) {
    problems_.push_back(what);
  }
}

std::vector<std::string> Rig::report_problems() {
  for (const std::string& wrong : world_->wrongs) {
    problems_.push_back(wrong);
  }
  std::sort(problems_.begin(), problems_.end());
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return std::exchange(problems_, {});
}

void Rig::check_content() {
  const Guest& guest = world_->guests.at(kGuestUuid);
  for (auto& [host_name, host] : world_->hosts) {
    for (auto& [name, domain] : host.domains) {
      if (!domain.active() || domain.incoming) {
        continue;
      }
      for (const auto& [dev, wrote] : guest.wrote) {
        require(world_->view(domain.disks[dev].chain) == wrote,
                "the running guest sees other data on " + dev);
      }
    }
  }
}

void Rig::check_restart() {
  try {
    if (FakeDomain* domain = running()) {
      world_->stop(*domain);
    }
    power_on();
    require(running() != nullptr, "the guest cannot be started");
    check_content();
    for (int i = 0; i < 20; ++i) {
      world_->tick();
    }
    check_content();
  } catch (const Error& error) {
    require(false, std::string("the guest cannot be started: ") + error.what());
  }
}

std::vector<std::string> Rig::problems_always() {
  const bool live = before_.active() && request.mode != MigrateMode::kOffline;
  unsigned defined = 0;
  for (auto& [name, host] : world_->hosts) {
    defined += host.domains.contains(kGuestName);
  }
  require(defined != 0, "the guest is lost");
  if (live && !guest_was_stopped) {
    require(running() != nullptr, "the guest does not run");
  }
  require(world_->guests.at(kGuestUuid).lost_power == 0, "a running guest was destroyed");
  check_content();
  return report_problems();
}

void Rig::check_state(const std::string& host) {
  const auto found = world_->hosts.at(host).domains.find(kGuestName);
  require(found != world_->hosts.at(host).domains.end(), "the guest is not on " + host);
  if (found == world_->hosts.at(host).domains.end()) {
    return;
  }
  const FakeDomain& domain = found->second;
  if (!guest_was_stopped) {
    require(domain.state == before_.state,
            fmt::format("the guest's state is {}", static_cast<int>(domain.state)));
  } else {
    require(domain.state != DomainState::kPaused, "the guest is left paused");
  }
  require(domain.autostart == before_.autostart, "autostart is not as it was");
  require(!domain.stored.empty(), "the guest is transient");
  for (const auto& [dev, disk] : domain.disks) {
    require(!disk.job, "a block job is left on " + dev);
  }
}

void Rig::check_images(std::set<std::string> expected) {
  expected.insert(others.begin(), others.end());
  for (const auto& [name, image] : world_->images) {
    if (expected.erase(name) == 0) {
      require(false, name + " is left over");
    }
  }
  for (const std::string& name : expected) {
    require(false, name + " is gone");
  }
}

std::vector<std::string> Rig::problems_if_untouched() {
  require(!has_journal(), "the journal is left");
  check_state("alpha");
  require(!beta().domains.contains(kGuestName), "the guest is defined on beta");
  const FakeDomain& now = alpha().domains[kGuestName];
  require(now.stored == before_.stored, "the definition changed");
  if (now.active() && before_.active()) {
    require(now.running == before_.running, "the live definition changed");
  }
  check_images(images_before_);
  for (std::string& problem : problems_always()) {
    problems_.push_back(std::move(problem));
  }
  check_restart();
  return report_problems();
}

std::map<std::string, std::string> Rig::goals() const {
  if (!request.to_dir.empty()) {
    return {{"vda", "/back/web1-vda.raw"}, {"vdb", "/back/web1-vdb.raw"}};
  }
  return {{"vda", "rbd:vms/web1-vda"}, {"vdb", "rbd:vms/web1-vdb"}};
}

std::string Rig::rewritten(const std::string& definition) const {
  std::vector<DiskMove> moves;
  for (const auto& [dev, goal] : goals()) {
    if (!request.to_dir.empty()) {
      moves.push_back({.disk = dev, .to = FileTarget{.path = goal}});
    } else {
      moves.push_back({.disk = dev, .to = RbdTarget{.pool = "vms", .image = "web1-" + dev}});
    }
  }
  return rewrite_disks(parse_domain(definition, "the old definition"), moves);
}

void Rig::check_moved_definitions() {
  const std::string host = request.to.empty() ? "alpha" : "beta";
  const FakeDomain& domain = world_->hosts.at(host).domains[kGuestName];
  const auto check = [&](const std::string& text, const std::string& which) {
    for (const DefinedDisk& disk : read_definition(text).disks) {
      if (disk.device == "disk") {
        require(!disk.chain.empty() && disk.chain.front().image == goals().at(disk.dev) &&
                    disk.chain.front().format == "raw",
                "the " + which + " definition does not name the goal of " + disk.dev);
      }
    }
  };
  check(domain.stored, "persistent");
  require(drivers_of(domain.stored) == drivers_of(rewritten(before_.stored)),
          "the drivers of the persistent definition are not as rewritten");
  if (!domain.active()) {
    return;
  }
  check(domain.running, "live");
  const bool told = said_.find("gives back no room") != std::string::npos;
  for (const auto& [dev, goal] : goals()) {
    require(domain.disks.at(dev).discards || told, "nobody says that discards of " + dev + " fail");
  }
  for (const auto& [dev, disk] : domain.disks) {
    require(disk.chain.size() == 1, "the chain of " + dev + " is not its goal alone");
  }
}

bool Rig::said_to_stay(const std::string& image) const {
  return said_last_.find("the old disk " + image + " stays: ") != std::string::npos;
}

std::vector<std::string> Rig::problems_if_moved() {
  require(!has_journal(), "the journal is left");
  check_state(request.to.empty() ? "alpha" : "beta");
  check_moved_definitions();
  if (!request.to.empty()) {
    require(alpha().domains.contains(kGuestName) == request.keep_source_definition,
            "the old definition is not as asked for");
    if (request.keep_source_definition) {
      require(!alpha().domains[kGuestName].autostart, "the old definition still autostarts");
    }
    require(state_text().find("/img/web1.img") != std::string::npos, "the old XML is not kept");
  }
  std::set<std::string> expected = images_before_;
  for (const auto& [dev, image] : goals()) {
    expected.insert(image);
  }
  if (request.delete_source) {
    for (const DefinedDisk& disk : read_definition(before_.stored).disks) {
      if (disk.device == "disk" && !said_to_stay(disk.chain.front().image)) {
        expected.erase(disk.chain.front().image);
      }
    }
  }
  check_images(expected);
  for (std::string& problem : problems_always()) {
    problems_.push_back(std::move(problem));
  }
  if (request.keep_source_definition) {
    alpha().domains.erase(kGuestName);
  }
  check_restart();
  return report_problems();
}

}  // namespace vmferry::test
