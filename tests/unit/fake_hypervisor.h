// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/unit/fake_world.h"
#include "vmferry/hypervisor.h"

namespace vmferry::test {

/// One host of the world, with the rules that libvirt and QEMU were seen to have (sizes must match
/// exactly, volumes and secrets exist, no pivot before ready, jobs end with the guest, persistent
/// definitions follow a pivot, a migration forgets autostart). Any thread.
class FakeHypervisor : public Hypervisor {
 public:
  FakeHypervisor(std::shared_ptr<World> world, std::string host)
      : world_(std::move(world)), name_(std::move(host)) {}

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
  std::string run_state(const std::string& domain) override;

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
  void migrate(const std::string& domain, Hypervisor& target,
               const LiveMigration& migration) override;
  std::optional<MigrationStats> migration_stats(const std::string& domain) override;
  void abort_migration(const std::string& domain) override;
  std::optional<uint64_t> last_downtime(const std::string& domain) override;

  void validate(const std::string& definition) override;
  bool network_active(const std::string& network) override;
  std::string volume_path(const std::string& pool, const std::string& volume) override;
  std::optional<FoundSecret> find_secret(const SecretName& secret) override;
  std::string define_secret(const SecretName& secret, const std::string& key) override;

 private:
  HostData& host() { return world_->hosts.at(name_); }
  /// Throws as libvirt does when there is none.
  DomainData& find(const std::string& domain);
  DomainData& find_active(const std::string& domain);
  LiveDisk& find_disk(DomainData& domain, const std::string& dev);

  void check_arrival(const DomainData& domain, const HostData& target,
                     const LiveMigration& migration);
  void check_disk(const DefinedDisk& disk, const LiveDisk& source, const HostData& target,
                  bool copied);
  void copy_disks(DomainData& domain, const DefinedDomain& destination,
                  const LiveMigration& migration);
  void hang_migration(DomainData& domain, HostData& target, const LiveMigration& migration);
  void arrive(DomainData& domain, HostData& target, const LiveMigration& migration);

  template <typename Act>
  auto call(const std::string& what, Act&& act, bool hangs_itself = false) -> decltype(act()) {
    return world_->call(name_ + ": " + what, std::forward<Act>(act), hangs_itself);
  }

  void call_of_daemon(const std::string& what, const std::function<void()>& act) {
    world_->call_of_daemon(name_ + ": " + what, act);
  }

  const std::shared_ptr<World> world_;
  const std::string name_;
};

}  // namespace vmferry::test
