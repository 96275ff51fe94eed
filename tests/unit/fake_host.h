// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tests/unit/fake_guest.h"
#include "vmferry/host.h"

namespace vmferry::test {

/// One host of the world. Any thread.
class FakeHost : public Host, public FakeDaemon {
 public:
  using FakeDaemon::FakeDaemon;

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
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<FakeGuest>> guests_;  ///< guarded by the mutex
};

}  // namespace vmferry::test
