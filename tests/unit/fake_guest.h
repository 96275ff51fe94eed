// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/unit/fake_world.h"
#include "vmferry/guest.h"

namespace vmferry::test {

/// The libvirt of one host of the world. Any thread.
class FakeDaemon {
 public:
  FakeDaemon(std::shared_ptr<World> world, std::string host)
      : world_(std::move(world)), name_(std::move(host)) {}

  const std::string& host_name() const { return name_; }

 protected:
  HostData& host() { return world_->hosts.at(name_); }

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

/// A domain, with the rules that libvirt and QEMU were seen to have (sizes must match exactly,
/// volumes and secrets exist, no pivot before ready, jobs end with the guest, persistent
/// definitions follow a pivot, a migration forgets autostart). Any thread. What a dead client asked
/// for is done later: a FakeHost keeps its guests until then.
class FakeGuest : public Guest, private FakeDaemon {
 public:
  FakeGuest(const FakeDaemon& daemon, std::string domain)
      : FakeDaemon(daemon), domain_(std::move(domain)) {}

  DomainState state() override;
  std::string uuid() override;
  bool persistent() override;
  std::string definition(DefinitionKind kind) override;
  DiskSizes disk_sizes(const std::string& dev) override;
  unsigned snapshots() override;
  std::vector<KnownSnapshot> known_snapshots() override;
  void forget_snapshot(const std::string& name) override;
  void tell_snapshot(const KnownSnapshot& snapshot) override;
  std::vector<std::string> checkpoints() override;
  bool was_saved() override;
  bool starting() override;
  bool has_job() override;
  bool busy() override;
  bool autostart() override;
  void set_autostart(bool on) override;
  bool agent_answers() override;

  void undefine() override;
  void start(bool paused) override;
  void shut_down() override;
  void destroy() override;
  std::string run_state() override;
  std::unique_ptr<GuestConsole> open_console() override;
  Screenshot screenshot() override;
  void limit_agent(std::chrono::seconds limit) override;

  void snapshot(const std::string& snapshot_definition, bool quiesce) override;
  void block_copy(const std::string& dev, const std::string& disk,
                  const BlockCopyOptions& options) override;
  void commit_active(const std::string& dev, uint64_t bandwidth) override;
  void commit_layer(const std::string& dev, const std::string& top,
                    const std::string& base) override;
  void limit_block_job(const std::string& dev, uint64_t bandwidth) override;
  std::optional<BlockJob> block_job(const std::string& dev) override;
  void pivot(const std::string& dev) override;
  void abort_block_job(const std::string& dev) override;
  void let_discard(const std::string& dev) override;

  void close_unused_volume(const std::string& pool, const std::string& image) override;
  std::vector<std::string> migration_blockers() override;
  void migrate(Host& target, const LiveMigration& migration) override;
  std::optional<MigrationStats> migration_stats() override;
  void abort_migration() override;
  std::optional<uint64_t> last_downtime() override;

 private:
  /// Throws as libvirt does when there is none.
  DomainData& find();
  DomainData& find_active();
  LiveDisk& find_disk(DomainData& domain, const std::string& dev);

  void check_arrival(const DomainData& domain, const HostData& target,
                     const LiveMigration& migration);
  void check_disk(const DefinedDisk& disk, const LiveDisk& source, const HostData& target,
                  bool copied);
  void copy_disks(DomainData& domain, const DefinedDomain& destination,
                  const LiveMigration& migration);
  void hang_migration(DomainData& domain, HostData& target, const LiveMigration& migration);
  void arrive(DomainData& domain, HostData& target, const LiveMigration& migration);

  const std::string domain_;
};

}  // namespace vmferry::test
