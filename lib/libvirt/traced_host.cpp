// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/traced_host.h"

#include "lib/libvirt/traced_guest.h"

namespace vmferry {
namespace libvirt {

HostFacts TracedHost::facts() {
  return teller_.ask("facts", [&] { return inner_->facts(); });
}

std::shared_ptr<Guest> TracedHost::guest(const std::string& name) {
  return trace_guest(inner_->guest(name), name, teller_);
}

std::vector<std::string> TracedHost::domains() {
  return teller_.ask("domains", [&] { return inner_->domains(); });
}

std::vector<std::string> TracedHost::active_domains() {
  return teller_.ask("active_domains", [&] { return inner_->active_domains(); });
}

std::string TracedHost::name_of_uuid(const std::string& uuid) {
  return teller_.ask("name_of_uuid " + uuid, [&] { return inner_->name_of_uuid(uuid); });
}

void TracedHost::define(const std::string& definition) {
  teller_.act("define (" + size_of(definition) + ")", [&] { inner_->define(definition); });
}

void TracedHost::run_transient(const std::string& definition) {
  teller_.act("run_transient (" + size_of(definition) + ")",
              [&] { inner_->run_transient(definition); });
}

void TracedHost::validate(const std::string& definition) {
  teller_.act(
      "validate (" + size_of(definition) + ")", [&] { inner_->validate(definition); },
      CallTrace::Kind::kAsks);
}

std::optional<uint64_t> TracedHost::free_memory() {
  return teller_.ask(
      "free_memory", [&] { return inner_->free_memory(); },
      [](const std::optional<uint64_t>& bytes) {
        return bytes ? std::to_string(*bytes) + " bytes" : "not told";
      });
}

bool TracedHost::network_active(const std::string& network) {
  return teller_.ask("network_active " + network, [&] { return inner_->network_active(network); });
}

std::string TracedHost::volume_path(const std::string& pool, const std::string& volume) {
  return teller_.ask("volume_path " + pool + " " + volume,
                     [&] { return inner_->volume_path(pool, volume); });
}

std::optional<FoundSecret> TracedHost::find_secret(const SecretName& secret) {
  return teller_.ask("find_secret " + name_of(secret), [&] { return inner_->find_secret(secret); });
}

std::string TracedHost::define_secret(const SecretName& secret, const std::string& key) {
  return teller_.ask(
      "define_secret " + name_of(secret), [&] { return inner_->define_secret(secret, key); },
      [](const std::string& uuid) { return uuid; }, CallTrace::Kind::kChanges);
}

}  // namespace libvirt

std::shared_ptr<Host> trace_calls(std::shared_ptr<Host> host, std::string name,
                                  std::shared_ptr<CallTrace> trace) {
  return std::make_shared<libvirt::TracedHost>(
      std::move(host), libvirt::CallTeller(std::move(trace), std::move(name)));
}

}  // namespace vmferry
