// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_host.h"

namespace vmferry::test {

HostFacts FakeHost::facts() {
  return call("facts", [&] { return host().facts; });
}

std::shared_ptr<Guest> FakeHost::guest(const std::string& name) {
  const std::lock_guard guard(mutex_);
  std::shared_ptr<FakeGuest>& guest = guests_[name];
  if (!guest) {
    guest = std::make_shared<FakeGuest>(*this, name);
  }
  return guest;
}

std::vector<std::string> FakeHost::domains() {
  return call("domains", [&] {
    std::vector<std::string> names;
    for (const auto& [name, domain] : host().domains) {
      names.push_back(name);
    }
    return names;
  });
}

std::vector<std::string> FakeHost::active_domains() {
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

std::string FakeHost::name_of_uuid(const std::string& uuid) {
  return call("name_of_uuid", [&] {
    for (const auto& [name, domain] : host().domains) {
      if (domain.uuid == uuid) {
        return name;
      }
    }
    return std::string();
  });
}

void FakeHost::define(const std::string& definition) {
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

void FakeHost::run_transient(const std::string& definition) {
  call("run_transient", [&] {
    const DefinedDomain& defined = read_definition(definition);
    for (const auto& [name, domain] : host().domains) {
      if (name == defined.name || domain.uuid == defined.uuid) {
        refuse(ErrorKind::kConflict, defined.name, "domain is already active");
      }
    }
    DomainData domain;
    domain.name = defined.name;
    domain.uuid = defined.uuid;
    domain.stored = laid_out(definition);
    domain.agent = world_->agents_come_up;
    domain.console = world_->boot_messages;
    world_->launch(host(), domain, false);
    domain.stored.clear();
    host().domains[defined.name] = std::move(domain);
  });
}

std::optional<uint64_t> FakeHost::free_memory() {
  return call("free_memory", [&] { return std::optional(host().free_memory); });
}

void FakeHost::validate(const std::string& definition) {
  call("validate", [&] {
    read_definition(definition);
    if (!host().refuses.empty()) {
      refuse(ErrorKind::kUnsupported, name_, host().refuses);
    }
  });
}

bool FakeHost::network_active(const std::string& network) {
  return call("network_active", [&] { return host().networks.contains(network); });
}

std::string FakeHost::volume_path(const std::string& pool, const std::string& volume) {
  return call("volume_path", [&] { return "/pools/" + pool + "/" + volume; });
}

std::optional<FoundSecret> FakeHost::find_secret(const SecretName& secret) {
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

std::string FakeHost::define_secret(const SecretName& secret, const std::string& key) {
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
