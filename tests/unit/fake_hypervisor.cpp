// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_hypervisor.h"

#include <algorithm>

namespace vmferry::test {

namespace {

/// As definitions name it.
std::string name_of(const std::string& image) {
  return image.starts_with("rbd:") ? image.substr(4) : image;
}

}  // namespace

FakeDomain& FakeHypervisor::find(const std::string& domain) {
  const auto found = host().domains.find(domain);
  if (found == host().domains.end()) {
    refuse(ErrorKind::kNotFound, domain, "Domain not found");
  }
  return found->second;
}

FakeDomain& FakeHypervisor::find_active(const std::string& domain) {
  FakeDomain& found = find(domain);
  if (!found.active()) {
    refuse(ErrorKind::kConflict, domain, "domain is not running");
  }
  return found;
}

LiveDisk& FakeHypervisor::find_disk(FakeDomain& domain, const std::string& dev) {
  const auto found = domain.disks.find(dev);
  if (found == domain.disks.end()) {
    refuse(ErrorKind::kIo, domain.name, "invalid path " + dev);
  }
  return found->second;
}

HostFacts FakeHypervisor::facts() {
  return call("facts", [&] { return host().facts; });
}

DomainState FakeHypervisor::state(const std::string& domain) {
  return call("state", [&] {
    const auto found = host().domains.find(domain);
    return found == host().domains.end() ? DomainState::kAbsent : found->second.state;
  });
}

bool FakeHypervisor::persistent(const std::string& domain) {
  return call("persistent", [&] { return !find(domain).stored.empty(); });
}

std::string FakeHypervisor::definition(const std::string& domain, DefinitionKind kind) {
  return call("definition", [&] {
    const FakeDomain& found = find(domain);
    const bool stored = kind == DefinitionKind::kPersistent ||
                        kind == DefinitionKind::kMigratablePersistent || !found.active();
    if (stored && found.stored.empty()) {
      return found.running;
    }
    if (stored) {
      return found.stored;
    }
    return kind == DefinitionKind::kLive ? with_runtime(found.running, found.disks) : found.running;
  });
}

std::string FakeHypervisor::uuid_of(const std::string& domain) {
  return call("uuid_of", [&] {
    const auto found = host().domains.find(domain);
    return found == host().domains.end() ? std::string() : found->second.uuid;
  });
}

std::vector<std::string> FakeHypervisor::domains() {
  return call("domains", [&] {
    std::vector<std::string> names;
    for (const auto& [name, domain] : host().domains) {
      names.push_back(name);
    }
    return names;
  });
}

std::vector<std::string> FakeHypervisor::active_domains() {
  return call("active_domains", [&] {
    std::vector<std::string> names;
    for (const auto& [name, domain] : host().domains) {
      if (domain.active()) {
        names.push_back(name);
      }
    }
    return names;
  });
}

std::string FakeHypervisor::name_of_uuid(const std::string& uuid) {
  return call("name_of_uuid", [&] {
    for (const auto& [name, domain] : host().domains) {
      if (domain.uuid == uuid) {
        return name;
      }
    }
    return std::string();
  });
}

DiskSizes FakeHypervisor::disk_sizes(const std::string& domain, const std::string& dev) {
  return call("disk_sizes", [&]() -> DiskSizes {
    for (const DefinedDisk& disk : read_definition(find(domain).stored).disks) {
      if (disk.dev != dev) {
        continue;
      }
      if (!find(domain).active() && disk.chain.front().type != "file") {
        refuse(ErrorKind::kIo, domain, "cannot get the size of a disk of that type");
      }
      const Image& image = world_->require_image(disk.chain.front().image);
      return {.capacity = image.size, .allocation = image.own.size() << 16};
    }
    refuse(ErrorKind::kIo, domain, "invalid path " + dev);
  });
}

unsigned FakeHypervisor::snapshots(const std::string& domain) {
  return call("snapshots", [&] { return find(domain).snapshots; });
}
std::vector<std::string> FakeHypervisor::checkpoints(const std::string& domain) {
  return call("checkpoints", [&] { return find(domain).checkpoints; });
}
std::vector<std::string> FakeHypervisor::migration_blockers(const std::string& domain) {
  return call("migration_blockers", [&] { return find_active(domain).migration_blockers; });
}
bool FakeHypervisor::was_saved(const std::string& domain) {
  return call("was_saved", [&] { return !find(domain).active() && find(domain).managed_save; });
}
bool FakeHypervisor::has_job(const std::string& domain) {
  return call("has_job", [&] { return find(domain).has_job; });
}
bool FakeHypervisor::busy(const std::string& domain) {
  return call("busy", [&] {
    find(domain);
    return world_->busy();
  });
}
bool FakeHypervisor::autostart(const std::string& domain) {
  return call("autostart", [&] { return find(domain).autostart; });
}

void FakeHypervisor::set_autostart(const std::string& domain, bool on) {
  call("set_autostart", [&] {
    FakeDomain& found = find(domain);
    if (found.stored.empty()) {
      refuse(ErrorKind::kConflict, domain, "cannot set autostart for transient domain");
    }
    found.autostart = on;
  });
}

bool FakeHypervisor::agent_answers(const std::string& domain) {
  return call("agent_answers", [&] { return find_active(domain).agent; });
}

void FakeHypervisor::define(const std::string& definition) {
  call("define", [&] {
    const DefinedDomain defined = read_definition(definition);
    for (const auto& [name, domain] : host().domains) {
      if ((name == defined.name) != (domain.uuid == defined.uuid)) {
        refuse(ErrorKind::kConflict, defined.name, "domain is already defined with another uuid");
      }
    }
    FakeDomain& domain = host().domains[defined.name];
    domain.name = defined.name;
    domain.uuid = defined.uuid;
    domain.stored = laid_out(definition);
  });
}

void FakeHypervisor::undefine(const std::string& domain) {
  call("undefine", [&] {
    FakeDomain& found = find(domain);
    if (found.managed_save) {
      refuse(ErrorKind::kConflict, domain, "Refusing to undefine while a saved image exists");
    }
    if (!found.active()) {
      host().domains.erase(domain);
      return;
    }
    found.stored.clear();
    found.autostart = false;
  });
}

void FakeHypervisor::start(const std::string& domain, bool paused) {
  call(paused ? "start paused" : "start", [&] {
    FakeDomain& found = find(domain);
    if (found.active()) {
      refuse(ErrorKind::kConflict, domain, "domain is already running");
    }
    world_->launch(host(), found, paused);
  });
}

void FakeHypervisor::shut_down(const std::string& domain) {
  call("shut_down", [&] {
    FakeDomain& found = find_active(domain);
    if (!found.ignores_button && found.state == DomainState::kRunning) {
      found.stopping = 3;
    }
  });
}

void FakeHypervisor::destroy(const std::string& domain) {
  call("destroy", [&] {
    FakeDomain& found = find_active(domain);
    if (found.ran) {
      ++world_->guests[found.uuid].lost_power;
    }
    world_->stop(found);
    if (found.stored.empty()) {
      host().domains.erase(domain);
    }
  });
}

std::string FakeHypervisor::run_state(const std::string& domain) {
  return call("run_state", [&]() -> std::string {
    const FakeDomain& found = find_active(domain);
    if (found.state == DomainState::kRunning) {
      return "running";
    }
    return found.incoming ? "inmigrate" : found.ran ? "paused" : "prelaunch";
  });
}

void FakeHypervisor::snapshot(const std::string& domain, const std::string& snapshot_definition,
                              bool quiesce) {
  call_of_daemon("snapshot", [=, this] {
    FakeDomain& found = find_active(domain);
    if (quiesce && !found.agent) {
      refuse(ErrorKind::kIo, domain, "QEMU guest agent is not connected");
    }
    const std::map<std::string, Layer> overlays = read_snapshot(snapshot_definition);
    for (const auto& [dev, overlay] : overlays) {
      if (find_disk(found, dev).job) {
        refuse(ErrorKind::kConflict, domain, "disk " + dev + " has an active block job");
      }
      if (world_->images.contains(overlay.image)) {
        refuse(ErrorKind::kConflict, domain,
               "external snapshot file for disk " + dev + " already exists");
      }
    }
    for (const auto& [dev, overlay] : overlays) {
      LiveDisk& disk = found.disks.at(dev);
      const Layer old = disk.chain.front();
      world_->images[overlay.image] = {.format = "qcow2",
                                       .size = world_->require_image(old.image).size,
                                       .backing = old.image,
                                       .declared = old};
      Job done{.goal = disk.chain};
      done.goal.insert(done.goal.begin(), overlay);
      disk.job = done;
      world_->finish_job(found, dev);
    }
  });
}

void FakeHypervisor::block_copy(const std::string& domain, const std::string& dev,
                                const std::string& disk, const BlockCopyOptions& options) {
  call_of_daemon("block_copy", [=, this] {
    FakeDomain& found = find_active(domain);
    LiveDisk& live = find_disk(found, dev);
    if (live.job) {
      refuse(ErrorKind::kConflict, domain, "disk " + dev + " already in active job");
    }
    std::vector<Layer> goal = read_disk_chain(disk);
    if (goal.empty()) {
      refuse(ErrorKind::kIo, domain, "no destination");
    }
    for (const Layer& layer : goal) {
      world_->require_secret(host(), layer);
      if (world_->require_image(layer.image).format != layer.format) {
        refuse(ErrorKind::kIo, layer.image, "Image is not in " + layer.format + " format");
      }
    }
    if (world_->images.at(goal.front().image).size !=
        world_->images.at(live.chain.front().image).size) {
      refuse(ErrorKind::kIo, domain, "Source and target image have different sizes");
    }
    if (!options.shallow && goal.front().format != "raw") {
      refuse(ErrorKind::kIo, domain, "Copy failed");
    }
    if (options.shallow && goal.size() == 1 && live.chain.size() > 1) {
      goal.insert(goal.end(), live.chain.begin() + 1, live.chain.end());
    }
    live.job = Job{.kind = BlockJob::Kind::kCopy, .shallow = options.shallow, .goal = goal};
  });
}

void FakeHypervisor::commit_active(const std::string& domain, const std::string& dev, uint64_t) {
  call_of_daemon("commit_active", [=, this] {
    LiveDisk& live = find_disk(find_active(domain), dev);
    if (live.job) {
      refuse(ErrorKind::kConflict, domain, "disk " + dev + " already in active job");
    }
    if (live.chain.size() < 2) {
      refuse(ErrorKind::kIo, domain, "top has no backing file: cannot commit");
    }
    live.job = Job{.kind = BlockJob::Kind::kActiveCommit,
                   .shallow = true,
                   .goal = {live.chain.begin() + 1, live.chain.end()}};
  });
}

std::optional<BlockJob> FakeHypervisor::block_job(const std::string& domain,
                                                  const std::string& dev) {
  return call("block_job", [&]() -> std::optional<BlockJob> {
    const LiveDisk& disk = find_disk(find_active(domain), dev);
    if (!disk.job) {
      return std::nullopt;
    }
    return BlockJob{.kind = disk.job->kind,
                    .done = uint64_t{disk.job->progress} << 20,
                    .total = uint64_t{kJobTicks} << 20,
                    .ready = disk.job->progress >= kJobTicks && disk.job->ending == 0,
                    .target = name_of(disk.job->goal.front().image)};
  });
}

void FakeHypervisor::pivot(const std::string& domain, const std::string& dev) {
  call_of_daemon("pivot", [=, this] {
    FakeDomain& found = find_active(domain);
    const LiveDisk& disk = find_disk(found, dev);
    if (!disk.job) {
      refuse(ErrorKind::kConflict, domain, "no active block job");
    }
    if (disk.job->progress < kJobTicks || disk.job->ending != 0) {
      refuse(ErrorKind::kConflict, domain, "disk " + dev + " not ready for pivot yet");
    }
    world_->finish_job(found, dev);
  });
}

void FakeHypervisor::abort_block_job(const std::string& domain, const std::string& dev) {
  call_of_daemon("abort_block_job", [=, this] {
    LiveDisk& disk = find_disk(find_active(domain), dev);
    if (!disk.job) {
      refuse(ErrorKind::kConflict, domain, "no active block job");
    }
    disk.job->ending = 2;
  });
}

void FakeHypervisor::let_discard(const std::string& domain, const std::string& dev) {
  call("let_discard", [&] { find_disk(find_active(domain), dev).discards = true; });
}

void FakeHypervisor::close_unused_volume(const std::string& domain, const std::string& pool,
                                         const std::string& image) {
  call("close_unused_volume", [&] {
    find_active(domain);
    world_->left_open.erase("rbd:" + pool + "/" + image);
  });
}

void FakeHypervisor::check_disk(const DefinedDisk& disk, const LiveDisk& source,
                                const FakeHost& target, bool copied) {
  const Layer& goal = disk.chain.front();
  world_->require_secret(target, goal);
  const Image& image = world_->require_image(goal.image);
  if (copied && image.size != world_->require_image(source.chain.front().image).size) {
    refuse(ErrorKind::kIo, disk.dev, "Source and target image have different sizes");
  }
  if (!copied && goal.image != source.chain.front().image) {
    world_->wrong(disk.dev + " is neither copied nor shared");
  }
  if (!copied && goal.type != "network") {
    refuse(ErrorKind::kConflict, disk.dev, "Unsafe migration: it is not on shared storage");
  }
}

void FakeHypervisor::check_arrival(const FakeDomain& domain, const FakeHost& target,
                                   const LiveMigration& migration) {
  const DefinedDomain destination = read_definition(migration.destination);
  const DefinedDomain persistent = read_definition(migration.persistent);
  if (persistent.uuid != domain.uuid || persistent.name != domain.name) {
    world_->wrong("the persistent definition is of another machine");
  }
  if (destination.uuid != domain.uuid) {
    refuse(ErrorKind::kConflict, domain.name, "uuid mismatch");
  }
  if (const auto there = target.domains.find(domain.name); there != target.domains.end()) {
    if (there->second.uuid != domain.uuid || there->second.active()) {
      refuse(ErrorKind::kConflict, domain.name, "domain is already defined or active");
    }
  }
  for (const auto& [dev, disk] : domain.disks) {
    if (disk.job) {
      refuse(ErrorKind::kConflict, domain.name, "domain has active block job");
    }
  }
  for (const DefinedDisk& disk : destination.disks) {
    const auto source = domain.disks.find(disk.dev);
    if (source == domain.disks.end()) {
      continue;
    }
    const auto& copied = migration.copy_disks;
    check_disk(disk, source->second, target,
               std::find(copied.begin(), copied.end(), disk.dev) != copied.end());
  }
}

void FakeHypervisor::copy_disks(FakeDomain& domain, const DefinedDomain& destination,
                                const LiveMigration& migration) {
  for (const std::string& dev : migration.copy_disks) {
    for (const DefinedDisk& disk : destination.disks) {
      if (disk.dev == dev) {
        world_->images.at(disk.chain.front().image).own =
            world_->view(find_disk(domain, dev).chain);
      }
    }
  }
}

/// Until the client aborts, or somebody destroys the half-made domain at the target.
void FakeHypervisor::hang_migration(FakeDomain& domain, FakeHost& target,
                                    const LiveMigration& migration) {
  const std::string name = domain.name;
  domain.has_job = true;
  FakeDomain& half = target.domains[name];
  const bool was_defined = !half.stored.empty();
  half.name = name;
  half.uuid = domain.uuid;
  half.state = DomainState::kPaused;
  half.incoming = true;
  half.running = laid_out(migration.destination);
  const auto ended = [&] {
    const auto there = target.domains.find(name);
    return !domain.has_job || there == target.domains.end() || !there->second.active();
  };
  world_->wait(ended);
  const bool over = ended();
  domain.has_job = false;
  if (was_defined) {
    target.domains[name].incoming = false;
    world_->stop(target.domains[name]);
  }
  if (!was_defined) {
    target.domains.erase(name);
  }
  if (over) {
    refuse(ErrorKind::kIo, name, "operation aborted: migration out: canceled by client");
  }
}

void FakeHypervisor::arrive(FakeDomain& domain, FakeHost& target, const LiveMigration& migration) {
  FakeDomain& there = target.domains[domain.name];
  there.name = domain.name;
  there.uuid = domain.uuid;
  there.stored = laid_out(migration.persistent);
  there.running = laid_out(migration.destination);
  there.autostart = false;
  there.ran = domain.ran;
  there.agent = domain.agent;
  for (const DefinedDisk& disk : read_definition(migration.destination).disks) {
    if (domain.disks.contains(disk.dev)) {
      there.disks[disk.dev] = {.chain = world_->chain_of(disk.chain.front()),
                               .job = {},
                               .discards = lets_discard(there.running, disk.dev)};
    }
  }
  const DomainState state = domain.state;
  world_->runs_on(domain, target);
  world_->stop(domain);
  there.state = state;
}

void FakeHypervisor::migrate(const std::string& domain, Hypervisor& target,
                             const LiveMigration& migration) {
  const auto act = [&] {
    FakeDomain& found = find_active(domain);
    FakeHost& other = world_->hosts.at(dynamic_cast<FakeHypervisor&>(target).name_);
    check_arrival(found, other, migration);
    if (world_->hangs() || world_->stuck) {
      hang_migration(found, other, migration);
    }
    const DefinedDomain destination = read_definition(migration.destination);
    copy_disks(found, destination, migration);
    world_->middle();
    copy_disks(found, destination, migration);  // what the guest wrote meanwhile
    arrive(found, other, migration);
  };
  call("migrate", act, true);
}

std::optional<MigrationStats> FakeHypervisor::migration_stats(const std::string& domain) {
  return call("migration_stats", [&]() -> std::optional<MigrationStats> {
    if (!find(domain).has_job) {
      return std::nullopt;
    }
    return MigrationStats{.done = 1 << 20, .total = 4 << 20, .dirty_rate = 4096};
  });
}

void FakeHypervisor::abort_migration(const std::string& domain) {
  call("abort_migration", [&] {
    FakeDomain& found = find(domain);
    if (!found.has_job) {
      refuse(ErrorKind::kConflict, domain, "no job is active on the domain");
    }
    // A target that waits for a dead cluster does not hear of it.
    if (!world_->deaf) {
      found.has_job = false;
    }
  });
}

std::optional<uint64_t> FakeHypervisor::last_downtime(const std::string& domain) {
  return call("last_downtime", [&]() -> std::optional<uint64_t> {
    find(domain);
    return 188;
  });
}

void FakeHypervisor::validate(const std::string& definition) {
  call("validate", [&] {
    read_definition(definition);
    if (!host().refuses.empty()) {
      refuse(ErrorKind::kUnsupported, name_, host().refuses);
    }
  });
}

bool FakeHypervisor::network_active(const std::string& network) {
  return call("network_active", [&] { return host().networks.contains(network); });
}

std::string FakeHypervisor::volume_path(const std::string& pool, const std::string& volume) {
  return call("volume_path", [&] { return "/pools/" + pool + "/" + volume; });
}

std::optional<FoundSecret> FakeHypervisor::find_secret(const SecretName& secret) {
  return call("find_secret", [&]() -> std::optional<FoundSecret> {
    if (!host().secret_driver) {
      refuse(ErrorKind::kUnsupported, name_, "not supported by the connection driver");
    }
    const std::string name = secret.uuid + secret.usage;
    if (const auto odd = host().odd_secrets.find(name); odd != host().odd_secrets.end()) {
      return odd->second;
    }
    const auto found = host().secrets.find(name);
    if (found == host().secrets.end()) {
      return std::nullopt;
    }
    return FoundSecret{.key = found->second};
  });
}

std::string FakeHypervisor::define_secret(const SecretName& secret, const std::string& key) {
  return call("define_secret", [&] {
    const std::string name = secret.uuid + secret.usage;
    const auto odd = host().odd_secrets.find(name);
    if (odd != host().odd_secrets.end() && !odd->second.other_use.empty()) {
      world_->wrong("a secret of " + odd->second.other_use + " is written over");
    }
    host().odd_secrets.erase(name);
    host().secrets[name] = key;
    return std::string("5d9a3c1e-0000-4000-8000-000000000001");
  });
}

}  // namespace vmferry::test
