// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/libvirt/handles.h"
#include "vmferry/guest.h"

namespace vmferry::libvirt {

/// A domain, looked up by its name at each call. Every failure of libvirt's becomes an Error at
/// once. Jobs and QEMU's monitor are in libvirt_jobs.cpp, snapshots that libvirt
/// knows of in libvirt_snapshots.cpp, console and screen in libvirt_console.cpp, the rest in
/// libvirt_guest.cpp.
class LibvirtGuest : public Guest {
 public:
  /// `uri` is the connection's, for messages.
  LibvirtGuest(Connection connection, std::string uri, std::string name)
      : connection_(std::move(connection)), uri_(std::move(uri)), name_(std::move(name)) {}

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
  std::string label() const { return "domain " + name_; }
  DomainPtr find() const;
  std::string ask_monitor(const std::string& command) const;
  void check(int rc, const std::string& action) const;
  bool answer(int rc, const std::string& action) const;
  unsigned count(int rc, const std::string& action) const;

  const Connection connection_;
  const std::string uri_;
  const std::string name_;
};

}  // namespace vmferry::libvirt
