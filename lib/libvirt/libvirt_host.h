// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/libvirt/handles.h"
#include "vmferry/host.h"

namespace vmferry::libvirt {

/// A libvirt host. Every failure of libvirt's becomes an Error at once. Secrets are in
/// libvirt_secrets.cpp, the rest in libvirt_host.cpp.
class LibvirtHost : public Host {
 public:
  /// Connects. Throws Error.
  explicit LibvirtHost(const std::string& uri);

  const std::string& uri() const { return uri_; }
  const Connection& connection() const { return connection_; }

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
  std::optional<FoundSecret> find_secret(const SecretName& name) override;
  std::string define_secret(const SecretName& name, const std::string& key) override;

 private:
  std::vector<std::string> list_domains(unsigned flags);
  SecretPtr look_up(const SecretName& name);
  /// What the secret is for, if that is not Ceph.
  std::string other_use(virSecretPtr secret);
  std::string host_uuid();

  std::string uri_;
  Connection connection_;
};

}  // namespace vmferry::libvirt
