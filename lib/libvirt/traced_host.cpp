// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "vmferry/error.h"
#include "vmferry/hypervisor.h"

namespace vmferry {
namespace {

// What a trace has of an answer. Definitions and secrets may hold passwords: only their size.

std::string told(bool value) { return value ? "yes" : "no"; }
std::string told(unsigned value) { return std::to_string(value); }
std::string told(const std::string& text) { return text.empty() ? "nothing" : text; }
std::string told(const std::vector<std::string>& texts) {
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}
std::string told(const HostFacts& facts) { return facts.hostname; }
std::string told(const DiskSizes& sizes) { return fmt::format("{} bytes", sizes.capacity); }

std::string told(DomainState state) {
  switch (state) {
    case DomainState::kAbsent:
      return "absent";
    case DomainState::kShutOff:
      return "shut off";
    case DomainState::kRunning:
      return "running";
    case DomainState::kPaused:
      return "paused";
    default:
      return "another state";
  }
}

// Without what changes at every look.
std::string told(const std::optional<BlockJob>& job) {
  if (!job) {
    return "none";
  }
  const char* kind = job->kind == BlockJob::Kind::kCopy           ? "copy"
                     : job->kind == BlockJob::Kind::kActiveCommit ? "active commit"
                                                                  : "another job";
  return fmt::format("{}{}{}{}", kind, job->target.empty() ? "" : " to ", job->target,
                     job->ready ? ", ready" : "");
}
std::string told(const std::optional<MigrationStats>& stats) { return stats ? "goes on" : "none"; }
std::string told(const std::optional<uint64_t>& milliseconds) {
  return milliseconds ? fmt::format("{} ms", *milliseconds) : "not told";
}
std::string told(const std::optional<FoundSecret>& secret) {
  if (!secret) {
    return "none";
  }
  return secret->other_use.empty() ? "found" : "for " + secret->other_use;
}

const char* name_of(DefinitionKind kind) {
  switch (kind) {
    case DefinitionKind::kLive:
      return "live";
    case DefinitionKind::kPersistent:
      return "persistent";
    case DefinitionKind::kMigratable:
      return "migratable";
    default:
      return "migratable persistent";
  }
}

std::string name_of(const SecretName& secret) {
  return secret.uuid.empty() ? "usage " + secret.usage : secret.uuid;
}

std::string size_of(const std::string& definition) {
  return fmt::format("{} bytes", definition.size());
}

/// Tells a trace of calls.
class Teller {
 public:
  Teller(std::shared_ptr<CallTrace> trace, std::string name)
      : trace_(std::move(trace)), name_(std::move(name)) {}

 protected:
  const std::string& name() const { return name_; }

  using Kind = CallTrace::Kind;

  /// Tells of a question, and of its answer as `say` puts it.
  template <typename Ask, typename Say>
  auto ask(const std::string& call, Ask&& question, Say&& say, Kind kind = Kind::kAsks) {
    const std::optional<uint64_t> id = began(call, kind);
    try {
      auto answer = question();
      ended(id, [&] { return std::string(say(answer)); });
      return answer;
    } catch (const Error& error) {
      ended(id, [&] { return std::string("failed: ") + error.what(); });
      throw;
    } catch (...) {
      ended(id, [] { return std::string("failed"); });
      throw;
    }
  }
  template <typename Ask>
  auto ask(const std::string& call, Ask&& question) {
    return ask(call, std::forward<Ask>(question), [](const auto& answer) { return told(answer); });
  }

  /// Of a call without an answer.
  template <typename Act>
  void act(const std::string& call, Act&& action, Kind kind = Kind::kChanges) {
    ask(
        call,
        [&] {
          action();
          return true;
        },
        [](bool) { return "done"; }, kind);
  }

 private:
  // A call is worth more than what is told of it: that may be lost.

  std::optional<uint64_t> began(const std::string& call, Kind kind) noexcept {
    try {
      return trace_->began(name_ + ": " + call, kind);
    } catch (...) {
      return std::nullopt;
    }
  }
  template <typename Text>
  void ended(const std::optional<uint64_t>& id, Text&& text) noexcept {
    try {
      if (id) {
        trace_->ended(*id, text());
      }
    } catch (...) {
      return;
    }
  }

  const std::shared_ptr<CallTrace> trace_;
  const std::string name_;
};

/// Passes every call on, and tells of it.
class TracedHost : public Hypervisor, private Teller {
 public:
  TracedHost(std::shared_ptr<Hypervisor> inner, std::shared_ptr<CallTrace> trace, std::string name)
      : Teller(std::move(trace), std::move(name)), inner_(std::move(inner)) {}

  HostFacts facts() override {
    return ask("facts", [&] { return inner_->facts(); });
  }
  DomainState state(const std::string& domain) override {
    return ask("state " + domain, [&] { return inner_->state(domain); });
  }
  bool persistent(const std::string& domain) override {
    return ask("persistent " + domain, [&] { return inner_->persistent(domain); });
  }
  std::string definition(const std::string& domain, DefinitionKind kind) override {
    return ask(
        fmt::format("definition {} ({})", domain, name_of(kind)),
        [&] { return inner_->definition(domain, kind); }, size_of);
  }
  std::string uuid_of(const std::string& domain) override {
    return ask("uuid_of " + domain, [&] { return inner_->uuid_of(domain); });
  }
  std::vector<std::string> domains() override {
    return ask("domains", [&] { return inner_->domains(); });
  }
  std::vector<std::string> active_domains() override {
    return ask("active_domains", [&] { return inner_->active_domains(); });
  }
  std::string name_of_uuid(const std::string& uuid) override {
    return ask("name_of_uuid " + uuid, [&] { return inner_->name_of_uuid(uuid); });
  }
  DiskSizes disk_sizes(const std::string& domain, const std::string& dev) override {
    return ask("disk_sizes " + domain + " " + dev, [&] { return inner_->disk_sizes(domain, dev); });
  }
  unsigned snapshots(const std::string& domain) override {
    return ask("snapshots " + domain, [&] { return inner_->snapshots(domain); });
  }
  std::vector<std::string> checkpoints(const std::string& domain) override {
    return ask("checkpoints " + domain, [&] { return inner_->checkpoints(domain); });
  }
  bool was_saved(const std::string& domain) override {
    return ask("was_saved " + domain, [&] { return inner_->was_saved(domain); });
  }
  bool has_job(const std::string& domain) override {
    return ask("has_job " + domain, [&] { return inner_->has_job(domain); });
  }
  bool busy(const std::string& domain) override {
    return ask("busy " + domain, [&] { return inner_->busy(domain); });
  }
  bool autostart(const std::string& domain) override {
    return ask("autostart " + domain, [&] { return inner_->autostart(domain); });
  }
  void set_autostart(const std::string& domain, bool on) override {
    act(fmt::format("set_autostart {} {}", domain, on ? "on" : "off"),
        [&] { inner_->set_autostart(domain, on); });
  }
  bool agent_answers(const std::string& domain) override {
    return ask("agent_answers " + domain, [&] { return inner_->agent_answers(domain); });
  }
  void define(const std::string& definition) override {
    act("define (" + size_of(definition) + ")", [&] { inner_->define(definition); });
  }
  void undefine(const std::string& domain) override {
    act("undefine " + domain, [&] { inner_->undefine(domain); });
  }
  void start(const std::string& domain, bool paused) override {
    act("start " + domain + (paused ? " paused" : ""), [&] { inner_->start(domain, paused); });
  }
  void shut_down(const std::string& domain) override {
    act("shut_down " + domain, [&] { inner_->shut_down(domain); });
  }
  void destroy(const std::string& domain) override {
    act("destroy " + domain, [&] { inner_->destroy(domain); });
  }
  std::string run_state(const std::string& domain) override {
    return ask("run_state " + domain, [&] { return inner_->run_state(domain); });
  }
  void snapshot(const std::string& domain, const std::string& snapshot_definition,
                bool quiesce) override {
    act("snapshot " + domain + (quiesce ? " quiesced" : ""),
        [&] { inner_->snapshot(domain, snapshot_definition, quiesce); });
  }
  void block_copy(const std::string& domain, const std::string& dev, const std::string& disk,
                  const BlockCopyOptions& options) override {
    act(fmt::format("block_copy {} {}{}", domain, dev, options.shallow ? " shallow" : ""),
        [&] { inner_->block_copy(domain, dev, disk, options); });
  }
  void commit_active(const std::string& domain, const std::string& dev,
                     uint64_t bandwidth) override {
    act("commit_active " + domain + " " + dev,
        [&] { inner_->commit_active(domain, dev, bandwidth); });
  }
  std::optional<BlockJob> block_job(const std::string& domain, const std::string& dev) override {
    return ask("block_job " + domain + " " + dev, [&] { return inner_->block_job(domain, dev); });
  }
  void pivot(const std::string& domain, const std::string& dev) override {
    act("pivot " + domain + " " + dev, [&] { inner_->pivot(domain, dev); });
  }
  void abort_block_job(const std::string& domain, const std::string& dev) override {
    act("abort_block_job " + domain + " " + dev, [&] { inner_->abort_block_job(domain, dev); });
  }
  void let_discard(const std::string& domain, const std::string& dev) override {
    act("let_discard " + domain + " " + dev, [&] { inner_->let_discard(domain, dev); });
  }
  void close_unused_volume(const std::string& domain, const std::string& pool,
                           const std::string& image) override {
    act(fmt::format("close_unused_volume {} {}/{}", domain, pool, image),
        [&] { inner_->close_unused_volume(domain, pool, image); });
  }
  std::vector<std::string> migration_blockers(const std::string& domain) override {
    return ask("migration_blockers " + domain, [&] { return inner_->migration_blockers(domain); });
  }
  void migrate(const std::string& domain, Hypervisor& target,
               const LiveMigration& migration) override {
    auto* const traced = dynamic_cast<TracedHost*>(&target);
    Hypervisor& other = traced != nullptr ? *traced->inner_ : target;
    act(fmt::format("migrate {} to {}", domain, traced != nullptr ? traced->name() : "the target"),
        [&] { inner_->migrate(domain, other, migration); });
  }
  std::optional<MigrationStats> migration_stats(const std::string& domain) override {
    return ask("migration_stats " + domain, [&] { return inner_->migration_stats(domain); });
  }
  void abort_migration(const std::string& domain) override {
    act("abort_migration " + domain, [&] { inner_->abort_migration(domain); });
  }
  std::optional<uint64_t> last_downtime(const std::string& domain) override {
    return ask("last_downtime " + domain, [&] { return inner_->last_downtime(domain); });
  }
  void validate(const std::string& definition) override {
    act(
        "validate (" + size_of(definition) + ")", [&] { inner_->validate(definition); },
        Kind::kAsks);
  }
  bool network_active(const std::string& network) override {
    return ask("network_active " + network, [&] { return inner_->network_active(network); });
  }
  std::string volume_path(const std::string& pool, const std::string& volume) override {
    return ask("volume_path " + pool + " " + volume,
               [&] { return inner_->volume_path(pool, volume); });
  }
  std::optional<FoundSecret> find_secret(const SecretName& secret) override {
    return ask("find_secret " + name_of(secret), [&] { return inner_->find_secret(secret); });
  }
  std::string define_secret(const SecretName& secret, const std::string& key) override {
    return ask(
        "define_secret " + name_of(secret), [&] { return inner_->define_secret(secret, key); },
        [](const std::string& uuid) { return uuid; }, Kind::kChanges);
  }

 private:
  const std::shared_ptr<Hypervisor> inner_;
};

}  // namespace

std::shared_ptr<Hypervisor> trace_calls(std::shared_ptr<Hypervisor> host, std::string name,
                                        std::shared_ptr<CallTrace> trace) {
  return std::make_shared<TracedHost>(std::move(host), std::move(trace), std::move(name));
}

}  // namespace vmferry
