// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "lib/libvirt/call_teller.h"
#include "vmferry/host.h"

namespace vmferry::libvirt {

/// Passes every call on, and tells of it.
class TracedHost : public Host {
 public:
  TracedHost(std::shared_ptr<Host> inner, CallTeller teller)
      : inner_(std::move(inner)), teller_(std::move(teller)) {}

  /// What the calls are passed to.
  Host& inner() const { return *inner_; }
  /// As the trace calls it.
  const std::string& name() const { return teller_.name(); }

  HostFacts facts() override;
  std::shared_ptr<Guest> guest(const std::string& name) override;
  std::vector<std::string> domains() override;
  std::vector<std::string> active_domains() override;
  std::string name_of_uuid(const std::string& uuid) override;
  void define(const std::string& definition) override;
  void run_transient(const std::string& definition) override;
  void validate(const std::string& definition) override;
  std::optional<uint64_t> free_memory() override;
  bool network_active(const std::string& network) override;
  std::string volume_path(const std::string& pool, const std::string& volume) override;
  std::optional<FoundSecret> find_secret(const SecretName& secret) override;
  std::string define_secret(const SecretName& secret, const std::string& key) override;

 private:
  const std::shared_ptr<Host> inner_;
  const CallTeller teller_;
};

}  // namespace vmferry::libvirt
