// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/libvirt/handles.h"
#include "vmferry/hypervisor.h"

namespace vmferry::libvirt {

/// A libvirt host. Every failure of libvirt's becomes an Error at once. What it does to one guest's
/// jobs is in libvirt_jobs.cpp, secrets in libvirt_secrets.cpp, the rest in libvirt_host.cpp.
class LibvirtHost : public Hypervisor {
 public:
  /// Connects. Throws Error.
  explicit LibvirtHost(const std::string& uri);

  HostFacts facts() override;
  DomainState state(const std::string& domain) override;
  bool persistent(const std::string& domain) override;
  std::string definition(const std::string& domain, DefinitionKind kind) override;
  std::string uuid_of(const std::string& domain) override;
  std::vector<std::string> domains() override;
  std::vector<std::string> active_domains() override;
  std::string name_of_uuid(const std::string& uuid) override;
  DiskSizes disk_sizes(const std::string& domain, const std::string& dev) override;
  unsigned snapshots(const std::string& domain) override;
  std::vector<std::string> checkpoints(const std::string& domain) override;
  bool was_saved(const std::string& domain) override;
  bool has_job(const std::string& domain) override;
  bool busy(const std::string& domain) override;
  bool autostart(const std::string& domain) override;
  void set_autostart(const std::string& domain, bool on) override;
  bool agent_answers(const std::string& domain) override;
  void define(const std::string& definition) override;
  void undefine(const std::string& domain) override;
  void start(const std::string& domain, bool paused) override;
  void shut_down(const std::string& domain) override;
  void destroy(const std::string& domain) override;
  void snapshot(const std::string& domain, const std::string& snapshot_definition,
                bool quiesce) override;
  void block_copy(const std::string& domain, const std::string& dev, const std::string& disk,
                  const BlockCopyOptions& options) override;
  void commit_active(const std::string& domain, const std::string& dev,
                     uint64_t bandwidth) override;
  std::optional<BlockJob> block_job(const std::string& domain, const std::string& dev) override;
  void pivot(const std::string& domain, const std::string& dev) override;
  void abort_block_job(const std::string& domain, const std::string& dev) override;
  void let_discard(const std::string& domain, const std::string& dev) override;
  void close_unused_volume(const std::string& domain, const std::string& pool,
                           const std::string& image) override;
  std::vector<std::string> migration_blockers(const std::string& domain) override;
  std::string run_state(const std::string& domain) override;
  void migrate(const std::string& domain, Hypervisor& target,
               const LiveMigration& migration) override;
  std::optional<MigrationStats> migration_stats(const std::string& domain) override;
  void abort_migration(const std::string& domain) override;
  std::optional<uint64_t> last_downtime(const std::string& domain) override;
  void validate(const std::string& definition) override;
  bool network_active(const std::string& network) override;
  std::string volume_path(const std::string& pool, const std::string& volume) override;
  std::optional<FoundSecret> find_secret(const SecretName& name) override;
  std::string define_secret(const SecretName& name, const std::string& key) override;

 private:
  std::vector<std::string> list_domains(unsigned flags);
  std::string label(const std::string& domain) const { return "domain " + domain; }
  DomainPtr find(const std::string& domain);
  SecretPtr look_up(const SecretName& name);
  /// What the secret is for, if that is not Ceph.
  std::string other_use(virSecretPtr secret);
  std::string ask_monitor(const std::string& domain, const std::string& command);
  void check(int rc, const std::string& domain, const std::string& action);
  bool answer(int rc, const std::string& domain, const std::string& action);
  unsigned count(int rc, const std::string& domain, const std::string& action);
  std::string host_uuid();

  std::string uri_;
  Connection connection_;
};

}  // namespace vmferry::libvirt
