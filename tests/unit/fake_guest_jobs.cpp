// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "tests/unit/fake_guest.h"
#include "tests/unit/fake_host.h"

namespace vmferry::test {

namespace {

/// As definitions name it.
std::string name_of(const std::string& image) {
  return image.starts_with("rbd:") ? image.substr(4) : image;
}

}  // namespace

// What it does with the disks of a guest that runs, and with the guest.

void FakeGuest::snapshot(const std::string& snapshot_definition, bool quiesce) {
  call_of_daemon("snapshot", [=, this] {
    DomainData& found = find_active();
    if (quiesce && !found.agent) {
      refuse(ErrorKind::kIo, domain_, "QEMU guest agent is not connected");
    }
    const std::map<std::string, Layer> overlays = read_snapshot(snapshot_definition);
    for (const auto& [dev, overlay] : overlays) {
      if (find_disk(found, dev).job) {
        refuse(ErrorKind::kConflict, domain_, "disk " + dev + " has an active block job");
      }
      if (world_->images.contains(overlay.image)) {
        refuse(ErrorKind::kConflict, domain_,
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

void FakeGuest::block_copy(const std::string& dev, const std::string& disk,
                           const BlockCopyOptions& options) {
  call_of_daemon("block_copy", [=, this] {
    DomainData& found = find_active();
    LiveDisk& live = find_disk(found, dev);
    if (live.job) {
      refuse(ErrorKind::kConflict, domain_, "disk " + dev + " already in active job");
    }
    std::vector<Layer> goal = read_disk_chain(disk);
    if (goal.empty()) {
      refuse(ErrorKind::kIo, domain_, "no destination");
    }
    for (const Layer& layer : goal) {
      world_->require_secret(host(), layer);
      if (world_->require_image(layer.image).format != layer.format) {
        refuse(ErrorKind::kIo, layer.image, "Image is not in " + layer.format + " format");
      }
    }
    if (world_->images.at(goal.front().image).size !=
        world_->images.at(live.chain.front().image).size) {
      refuse(ErrorKind::kIo, domain_, "Source and target image have different sizes");
    }
    if (!options.shallow && !world_->images.at(goal.front().image).backing.empty()) {
      refuse(ErrorKind::kIo, domain_, "Copy failed");
    }
    if (options.shallow && goal.size() == 1 && live.chain.size() > 1) {
      goal.insert(goal.end(), live.chain.begin() + 1, live.chain.end());
    }
    live.job = Job{.kind = BlockJob::Kind::kCopy, .shallow = options.shallow, .goal = goal};
  });
}

void FakeGuest::commit_active(const std::string& dev, uint64_t) {
  call_of_daemon("commit_active", [=, this] {
    LiveDisk& live = find_disk(find_active(), dev);
    if (live.job) {
      refuse(ErrorKind::kConflict, domain_, "disk " + dev + " already in active job");
    }
    if (live.chain.size() < 2) {
      refuse(ErrorKind::kIo, domain_, "top has no backing file: cannot commit");
    }
    live.job = Job{.kind = BlockJob::Kind::kActiveCommit,
                   .shallow = true,
                   .goal = {live.chain.begin() + 1, live.chain.end()}};
  });
}

void FakeGuest::commit_layer(const std::string& dev, const std::string& top,
                             const std::string& base) {
  call_of_daemon("commit_layer", [=, this] {
    LiveDisk& live = find_disk(find_active(), dev);
    if (live.job) {
      refuse(ErrorKind::kConflict, domain_, "disk " + dev + " already in active job");
    }
    std::vector<Layer> goal = live.chain;
    const auto is_top = [&](const Layer& layer) { return layer.image == top; };
    const auto found = std::find_if(goal.begin(), goal.end(), is_top);
    if (found == goal.begin() || found == goal.end() || found + 1 == goal.end() ||
        (found + 1)->image != base) {
      refuse(ErrorKind::kIo, domain_, "could not find " + top + " over " + base + " in its chain");
    }
    goal.erase(found);
    live.job = Job{.kind = BlockJob::Kind::kCommit, .shallow = true, .goal = goal, .top = top};
  });
}

void FakeGuest::limit_block_job(const std::string& dev, uint64_t bandwidth) {
  call("limit_block_job", [&] {
    LiveDisk& live = find_disk(find_active(), dev);
    if (!live.job) {
      refuse(ErrorKind::kConflict, domain_, "no active block job on " + dev);
    }
    live.job->bandwidth = bandwidth;
  });
}

std::optional<BlockJob> FakeGuest::block_job(const std::string& dev) {
  return call("block_job", [&]() -> std::optional<BlockJob> {
    const LiveDisk& disk = find_disk(find_active(), dev);
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

void FakeGuest::pivot(const std::string& dev) {
  call_of_daemon("pivot", [=, this] {
    DomainData& found = find_active();
    const LiveDisk& disk = find_disk(found, dev);
    if (!disk.job) {
      refuse(ErrorKind::kConflict, domain_, "no active block job");
    }
    if (disk.job->progress < kJobTicks || disk.job->ending != 0) {
      refuse(ErrorKind::kConflict, domain_, "disk " + dev + " not ready for pivot yet");
    }
    world_->finish_job(found, dev);
  });
}

void FakeGuest::abort_block_job(const std::string& dev) {
  call_of_daemon("abort_block_job", [=, this] {
    LiveDisk& disk = find_disk(find_active(), dev);
    if (!disk.job) {
      refuse(ErrorKind::kConflict, domain_, "no active block job");
    }
    disk.job->ending = 2;
  });
}

void FakeGuest::let_discard(const std::string& dev) {
  call("let_discard", [&] { find_disk(find_active(), dev).discards = true; });
}

void FakeGuest::close_unused_volume(const std::string& pool, const std::string& image) {
  call("close_unused_volume", [&] {
    find_active();
    world_->left_open.erase("rbd:" + pool + "/" + image);
  });
}

void FakeGuest::check_disk(const DefinedDisk& disk, const LiveDisk& source, const HostData& target,
                           bool copied) {
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

void FakeGuest::check_arrival(const DomainData& domain, const HostData& target,
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

void FakeGuest::copy_disks(DomainData& domain, const DefinedDomain& destination,
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
void FakeGuest::hang_migration(DomainData& domain, HostData& target,
                               const LiveMigration& migration) {
  const std::string name = domain.name;
  domain.has_job = true;
  DomainData& half = target.domains[name];
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

void FakeGuest::arrive(DomainData& domain, HostData& target, const LiveMigration& migration) {
  DomainData& there = target.domains[domain.name];
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

void FakeGuest::migrate(Host& target, const LiveMigration& migration) {
  const auto act = [&] {
    DomainData& found = find_active();
    HostData& other = world_->hosts.at(dynamic_cast<FakeHost&>(target).host_name());
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

std::optional<MigrationStats> FakeGuest::migration_stats() {
  return call("migration_stats", [&]() -> std::optional<MigrationStats> {
    if (!find().has_job) {
      return std::nullopt;
    }
    return MigrationStats{.done = 1 << 20, .total = 4 << 20, .dirty_rate = 4096};
  });
}

void FakeGuest::abort_migration() {
  call("abort_migration", [&] {
    DomainData& found = find();
    if (!found.has_job) {
      refuse(ErrorKind::kConflict, domain_, "no job is active on the domain");
    }
    // A target that waits for a dead cluster does not hear of it.
    if (!world_->deaf) {
      found.has_job = false;
    }
  });
}

std::optional<uint64_t> FakeGuest::last_downtime() {
  return call("last_downtime", [&]() -> std::optional<uint64_t> {
    find();
    return 188;
  });
}

}  // namespace vmferry::test
