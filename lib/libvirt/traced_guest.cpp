// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/traced_guest.h"

#include <fmt/format.h>

#include <utility>

#include "lib/libvirt/traced_host.h"

namespace vmferry::libvirt {
namespace {

class TracedGuest : public Guest {
 public:
  TracedGuest(std::shared_ptr<Guest> inner, std::string name, CallTeller teller)
      : inner_(std::move(inner)), domain_(std::move(name)), teller_(std::move(teller)) {}

  DomainState state() override {
    return teller_.ask("state " + domain_, [&] { return inner_->state(); });
  }
  bool persistent() override {
    return teller_.ask("persistent " + domain_, [&] { return inner_->persistent(); });
  }
  std::string definition(DefinitionKind kind) override {
    return teller_.ask(
        fmt::format("definition {} ({})", domain_, name_of(kind)),
        [&] { return inner_->definition(kind); }, size_of);
  }
  std::string uuid() override {
    return teller_.ask("uuid_of " + domain_, [&] { return inner_->uuid(); });
  }
  DiskSizes disk_sizes(const std::string& dev) override {
    return teller_.ask("disk_sizes " + domain_ + " " + dev,
                       [&] { return inner_->disk_sizes(dev); });
  }
  unsigned snapshots() override {
    return teller_.ask("snapshots " + domain_, [&] { return inner_->snapshots(); });
  }
  std::vector<KnownSnapshot> known_snapshots() override {
    return teller_.ask("known_snapshots " + domain_, [&] { return inner_->known_snapshots(); });
  }
  void forget_snapshot(const std::string& name) override {
    teller_.act("forget_snapshot " + domain_ + " " + name, [&] { inner_->forget_snapshot(name); });
  }
  void tell_snapshot(const KnownSnapshot& snapshot) override {
    teller_.act(fmt::format("tell_snapshot {} {}{}", domain_, snapshot.name,
                            snapshot.current ? " current" : ""),
                [&] { inner_->tell_snapshot(snapshot); });
  }
  std::vector<std::string> checkpoints() override {
    return teller_.ask("checkpoints " + domain_, [&] { return inner_->checkpoints(); });
  }
  bool was_saved() override {
    return teller_.ask("was_saved " + domain_, [&] { return inner_->was_saved(); });
  }
  bool starting() override {
    return teller_.ask("starting " + domain_, [&] { return inner_->starting(); });
  }
  bool has_job() override {
    return teller_.ask("has_job " + domain_, [&] { return inner_->has_job(); });
  }
  bool busy() override {
    return teller_.ask("busy " + domain_, [&] { return inner_->busy(); });
  }
  bool autostart() override {
    return teller_.ask("autostart " + domain_, [&] { return inner_->autostart(); });
  }
  void set_autostart(bool on) override {
    teller_.act(fmt::format("set_autostart {} {}", domain_, on ? "on" : "off"),
                [&] { inner_->set_autostart(on); });
  }
  bool agent_answers() override {
    return teller_.ask("agent_answers " + domain_, [&] { return inner_->agent_answers(); });
  }
  void undefine() override {
    teller_.act("undefine " + domain_, [&] { inner_->undefine(); });
  }
  void start(bool paused) override {
    teller_.act("start " + domain_ + (paused ? " paused" : ""), [&] { inner_->start(paused); });
  }
  void shut_down() override {
    teller_.act("shut_down " + domain_, [&] { inner_->shut_down(); });
  }
  void destroy() override {
    teller_.act("destroy " + domain_, [&] { inner_->destroy(); });
  }
  std::string run_state() override {
    return teller_.ask("run_state " + domain_, [&] { return inner_->run_state(); });
  }
  std::unique_ptr<GuestConsole> open_console() override {
    return teller_.ask(
        "open_console " + domain_, [&] { return inner_->open_console(); },
        [](const auto&) { return "done"; });
  }
  Screenshot screenshot() override {
    return teller_.ask(
        "screenshot " + domain_, [&] { return inner_->screenshot(); },
        [](const Screenshot& shot) { return shot.type; });
  }
  void limit_agent(std::chrono::seconds limit) override {
    teller_.act(fmt::format("limit_agent {} {} s", domain_, limit.count()),
                [&] { inner_->limit_agent(limit); });
  }
  void snapshot(const std::string& snapshot_definition, bool quiesce) override {
    teller_.act("snapshot " + domain_ + (quiesce ? " quiesced" : ""),
                [&] { inner_->snapshot(snapshot_definition, quiesce); });
  }
  void block_copy(const std::string& dev, const std::string& disk,
                  const BlockCopyOptions& options) override {
    teller_.act(fmt::format("block_copy {} {}{}", domain_, dev, options.shallow ? " shallow" : ""),
                [&] { inner_->block_copy(dev, disk, options); });
  }
  void commit_active(const std::string& dev, uint64_t bandwidth) override {
    teller_.act("commit_active " + domain_ + " " + dev,
                [&] { inner_->commit_active(dev, bandwidth); });
  }
  void commit_layer(const std::string& dev, const std::string& top,
                    const std::string& base) override {
    teller_.act(fmt::format("commit_layer {} {} {}", domain_, dev, top),
                [&] { inner_->commit_layer(dev, top, base); });
  }
  std::optional<BlockJob> block_job(const std::string& dev) override {
    return teller_.ask("block_job " + domain_ + " " + dev, [&] { return inner_->block_job(dev); });
  }
  void limit_block_job(const std::string& dev, uint64_t bandwidth) override {
    teller_.act(fmt::format("limit_block_job {} {} {}", domain_, dev, bandwidth),
                [&] { inner_->limit_block_job(dev, bandwidth); });
  }
  void pivot(const std::string& dev) override {
    teller_.act("pivot " + domain_ + " " + dev, [&] { inner_->pivot(dev); });
  }
  void abort_block_job(const std::string& dev) override {
    teller_.act("abort_block_job " + domain_ + " " + dev, [&] { inner_->abort_block_job(dev); });
  }
  void let_discard(const std::string& dev) override {
    teller_.act("let_discard " + domain_ + " " + dev, [&] { inner_->let_discard(dev); });
  }
  void close_unused_volume(const std::string& pool, const std::string& image) override {
    teller_.act(fmt::format("close_unused_volume {} {}/{}", domain_, pool, image),
                [&] { inner_->close_unused_volume(pool, image); });
  }
  std::vector<std::string> migration_blockers() override {
    return teller_.ask("migration_blockers " + domain_,
                       [&] { return inner_->migration_blockers(); });
  }
  void migrate(Host& target, const LiveMigration& migration) override {
    auto* const traced = dynamic_cast<TracedHost*>(&target);
    Host& other = traced != nullptr ? traced->inner() : target;
    teller_.act(
        fmt::format("migrate {} to {}", domain_, traced != nullptr ? traced->name() : "the target"),
        [&] { inner_->migrate(other, migration); });
  }
  std::optional<MigrationStats> migration_stats() override {
    return teller_.ask("migration_stats " + domain_, [&] { return inner_->migration_stats(); });
  }
  void abort_migration() override {
    teller_.act("abort_migration " + domain_, [&] { inner_->abort_migration(); });
  }
  std::optional<uint64_t> last_downtime() override {
    return teller_.ask("last_downtime " + domain_, [&] { return inner_->last_downtime(); });
  }

 private:
  const std::shared_ptr<Guest> inner_;
  const std::string domain_;
  const CallTeller teller_;
};

}  // namespace

std::shared_ptr<Guest> trace_guest(std::shared_ptr<Guest> guest, std::string name,
                                   CallTeller teller) {
  return std::make_shared<TracedGuest>(std::move(guest), std::move(name), std::move(teller));
}

}  // namespace vmferry::libvirt
