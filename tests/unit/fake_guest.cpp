// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_guest.h"

namespace vmferry::test {

DomainData& FakeGuest::find() {
  const auto found = host().domains.find(domain_);
  if (found == host().domains.end()) {
    refuse(ErrorKind::kNotFound, domain_, "Domain not found");
  }
  return found->second;
}

DomainData& FakeGuest::find_active() {
  DomainData& found = find();
  if (!found.active()) {
    refuse(ErrorKind::kConflict, domain_, "domain is not running");
  }
  return found;
}

LiveDisk& FakeGuest::find_disk(DomainData& domain, const std::string& dev) {
  const auto found = domain.disks.find(dev);
  if (found == domain.disks.end()) {
    refuse(ErrorKind::kIo, domain.name, "invalid path " + dev);
  }
  return found->second;
}

DomainState FakeGuest::state() {
  return call("state", [&] {
    const auto found = host().domains.find(domain_);
    return found == host().domains.end() ? DomainState::kAbsent : found->second.state;
  });
}

bool FakeGuest::persistent() {
  return call("persistent", [&] { return !find().stored.empty(); });
}

std::string FakeGuest::definition(DefinitionKind kind) {
  return call("definition", [&] {
    const DomainData& found = find();
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

std::string FakeGuest::uuid() {
  return call("uuid_of", [&] {
    const auto found = host().domains.find(domain_);
    return found == host().domains.end() ? std::string() : found->second.uuid;
  });
}

DiskSizes FakeGuest::disk_sizes(const std::string& dev) {
  return call("disk_sizes", [&]() -> DiskSizes {
    for (const DefinedDisk& disk : read_definition(find().stored).disks) {
      if (disk.dev != dev) {
        continue;
      }
      if (!find().active() && disk.chain.front().type != "file") {
        refuse(ErrorKind::kIo, domain_, "cannot get the size of a disk of that type");
      }
      const Image& image = world_->require_image(disk.chain.front().image);
      return {.capacity = image.size - world_->qemu_cuts, .allocation = image.own.size() << 16};
    }
    refuse(ErrorKind::kIo, domain_, "invalid path " + dev);
  });
}

std::vector<std::string> FakeGuest::checkpoints() {
  return call("checkpoints", [&] { return find().checkpoints; });
}

std::vector<std::string> FakeGuest::migration_blockers() {
  return call("migration_blockers", [&] { return find_active().migration_blockers; });
}

bool FakeGuest::was_saved() {
  return call("was_saved", [&] { return !find().active() && find().managed_save; });
}

bool FakeGuest::starting() {
  return call("starting", [&] {
    const auto found = host().domains.find(domain_);
    return found != host().domains.end() && found->second.starting;
  });
}

bool FakeGuest::has_job() {
  return call("has_job", [&] { return find().has_job; });
}

bool FakeGuest::busy() {
  return call("busy", [&] {
    find();
    return world_->busy();
  });
}

bool FakeGuest::autostart() {
  return call("autostart", [&] { return find().autostart; });
}

void FakeGuest::set_autostart(bool on) {
  call("set_autostart", [&] {
    DomainData& found = find();
    if (found.stored.empty()) {
      refuse(ErrorKind::kConflict, domain_, "cannot set autostart for transient domain");
    }
    found.autostart = on;
  });
}

bool FakeGuest::agent_answers() {
  return call("agent_answers", [&] { return find_active().agent; });
}

void FakeGuest::undefine() {
  call("undefine", [&] {
    DomainData& found = find();
    if (found.managed_save) {
      refuse(ErrorKind::kConflict, domain_, "Refusing to undefine while a saved image exists");
    }
    if (!found.known_snapshots.empty()) {
      refuse(ErrorKind::kConflict, domain_, "cannot delete inactive domain with snapshots");
    }
    if (!found.active()) {
      host().domains.erase(domain_);
      return;
    }
    found.stored.clear();
    found.autostart = false;
  });
}

void FakeGuest::start(bool paused) {
  call(paused ? "start paused" : "start", [&] {
    DomainData& found = find();
    if (found.active()) {
      refuse(ErrorKind::kConflict, domain_, "domain is already running");
    }
    world_->launch(host(), found, paused);
  });
}

void FakeGuest::shut_down() {
  call("shut_down", [&] {
    DomainData& found = find_active();
    if (!found.ignores_button && found.state == DomainState::kRunning) {
      found.stopping = 3;
    }
  });
}

void FakeGuest::destroy() {
  call("destroy", [&] {
    DomainData& found = find_active();
    if (found.ran) {
      ++world_->guests[found.uuid].lost_power;
    }
    world_->stop(found);
    if (found.stored.empty()) {
      host().domains.erase(domain_);
    }
  });
}

std::string FakeGuest::run_state() {
  return call("run_state", [&]() -> std::string {
    const DomainData& found = find_active();
    if (found.state == DomainState::kRunning) {
      return "running";
    }
    return found.incoming ? "inmigrate" : found.ran ? "paused" : "prelaunch";
  });
}

std::unique_ptr<GuestConsole> FakeGuest::open_console() {
  class FakeConsole : public GuestConsole {
   public:
    explicit FakeConsole(std::string text) : text_(std::move(text)) {}
    std::string read() override { return std::exchange(text_, {}); }

   private:
    std::string text_;
  };
  return call("open_console", [&] { return std::make_unique<FakeConsole>(find_active().console); });
}

Screenshot FakeGuest::screenshot() {
  return call("screenshot", [&] {
    find_active();
    return Screenshot{.type = "image/x-portable-pixmap", .bytes = "P6 1 1 255 abc"};
  });
}

void FakeGuest::limit_agent(std::chrono::seconds /*limit*/) {
  call("limit_agent", [&] { find_active(); });
}

}  // namespace vmferry::test
