// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_hypervisor.h"

#include <algorithm>

namespace vmferry::test {

DomainData& FakeHypervisor::find(const std::string& domain) {
  const auto found = host().domains.find(domain);
  if (found == host().domains.end()) {
    refuse(ErrorKind::kNotFound, domain, "Domain not found");
  }
  return found->second;
}

DomainData& FakeHypervisor::find_active(const std::string& domain) {
  DomainData& found = find(domain);
  if (!found.active()) {
    refuse(ErrorKind::kConflict, domain, "domain is not running");
  }
  return found;
}

LiveDisk& FakeHypervisor::find_disk(DomainData& domain, const std::string& dev) {
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
    const DomainData& found = find(domain);
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
    DomainData& found = find(domain);
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
    DomainData& domain = host().domains[defined.name];
    domain.name = defined.name;
    domain.uuid = defined.uuid;
    domain.stored = laid_out(definition);
  });
}

void FakeHypervisor::undefine(const std::string& domain) {
  call("undefine", [&] {
    DomainData& found = find(domain);
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
    DomainData& found = find(domain);
    if (found.active()) {
      refuse(ErrorKind::kConflict, domain, "domain is already running");
    }
    world_->launch(host(), found, paused);
  });
}

void FakeHypervisor::shut_down(const std::string& domain) {
  call("shut_down", [&] {
    DomainData& found = find_active(domain);
    if (!found.ignores_button && found.state == DomainState::kRunning) {
      found.stopping = 3;
    }
  });
}

void FakeHypervisor::destroy(const std::string& domain) {
  call("destroy", [&] {
    DomainData& found = find_active(domain);
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
    const DomainData& found = find_active(domain);
    if (found.state == DomainState::kRunning) {
      return "running";
    }
    return found.incoming ? "inmigrate" : found.ran ? "paused" : "prelaunch";
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
