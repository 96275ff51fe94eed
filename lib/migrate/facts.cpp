// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "lib/core/shell_word.h"
#include "lib/migrate/choice.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/needs.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace fs = std::filesystem;
namespace {

class Gatherer {
 public:
  Gatherer(const MigrateRequest& request, const MigrateContext& context, WarmRun warm)
      : request_(request),
        context_(context),
        source_(*context.source),
        target_(*context.target),
        guest_(source_.guest(request.domain)) {
    facts_.warm = std::move(warm);
  }

  Facts gather() {
    facts_.recovery = recover_command(facts_.warm.kind, request_.domain, context_.state_dir);
    hosts();
    domain();
    method_ = choose_method(request_, facts_.state, facts_.source);
    choose_disks();
    for (DiskFacts& disk : facts_.disks) {
      look_at_disk(request_, context_, method_, facts_, disk);
    }
    gather_warm(request_, context_, facts_);
    if (request_.delete_source) {
      old_disks();
    }
    if (facts_.source.local) {
      look_for_same_files();
    }
    if (request_.to_other_host()) {
      target();
    }
    if (request_.to_other_host()) {
      gather_leaving(request_, context_, method_, facts_);
    }
    cluster();
    definitions();
    return std::move(facts_);
  }

 private:
  void hosts() {
    facts_.source = source_.facts();
    facts_.target = request_.to_other_host() ? target_.facts() : facts_.source;
    facts_.run_there = context_.run_at_source && !facts_.source.local;
  }

  void domain() {
    const std::string& name = request_.domain;
    facts_.state = guest_->state();
    if (facts_.state == DomainState::kAbsent) {
      throw Error({.kind = ErrorKind::kNotFound,
                   .object = "domain " + name,
                   .action = {},
                   .cause = "no domain of that name on " + facts_.source.uri,
                   .hint = "list them: virsh -c " + shell_word(facts_.source.uri) + " list --all"});
    }
    facts_.persistent = guest_->persistent();
    facts_.autostart = facts_.persistent && guest_->autostart();
    look_at_snapshots();
    facts_.checkpoints = guest_->checkpoints();
    facts_.saved = facts_.persistent && guest_->was_saved();
    facts_.migrating = guest_->has_job();
    facts_.failed_to_write =
        facts_.state == DomainState::kPaused && guest_->run_state() == "io-error";
    if (request_.quiesce && facts_.state == DomainState::kRunning) {
      facts_.agent = guest_->agent_answers();
    }
    facts_.live = parse_domain(guest_->definition(DefinitionKind::kLive), "domain " + name);
    facts_.stored = parse_domain(guest_->definition(DefinitionKind::kPersistent), "domain " + name);
    facts_.migratable_live = guest_->definition(DefinitionKind::kMigratable);
    facts_.migratable_stored = guest_->definition(DefinitionKind::kMigratablePersistent);
  }

  void look_at_snapshots() {
    facts_.snapshots = guest_->snapshots();
    if (facts_.snapshots == 0 || !request_.takes_history()) {
      return;
    }
    facts_.snapshots_read = attempt([&] {
      for (const KnownSnapshot& known : guest_->known_snapshots()) {
        facts_.known_snapshots.push_back(
            read_domain_snapshot(known.definition, "snapshot " + known.name));
      }
    });
  }

  void choose_disks() {
    for (const auto& [dev, volume] : request_.disks) {
      if (!facts_.live.find_disk(dev)) {
        facts_.choice = {.failure = fmt::format("the domain has no disk '{}'", dev),
                         .hint = "--disk takes the target name, as 'virsh domblklist' prints it"};
      }
    }
    for (const DomainDisk& disk : facts_.live.disks) {
      const auto named = request_.disks.find(disk.target);
      if (!request_.disks.empty() && named == request_.disks.end()) {
        continue;
      }
      const std::string reason = why_not_chosen(request_, method_, facts_.live, disk);
      if (reason.empty()) {
        add_disk(disk);
        continue;
      }
      facts_.stays.push_back(disk.target + ": " + reason);
      if (named != request_.disks.end()) {
        facts_.choice = {.failure = fmt::format("disk {} cannot move: {}", disk.target, reason)};
      }
    }
    if (facts_.choice.ok() && facts_.disks.empty()) {
      facts_.choice = {.failure = "no disk of the domain can move"};
    }
  }

  void add_disk(const DomainDisk& disk) {
    DiskFacts facts;
    facts.disk = disk;
    facts.move.dev = disk.target;
    facts.move.original = disk.image.display();
    if (request_.to_files()) {
      const std::string name = fill_name_template(request_.name_template, facts_.live, disk.target);
      const size_t slash = disk.image.name.find('/');
      facts.move.volume = {disk.image.name.substr(0, slash), disk.image.name.substr(slash + 1)};
      const ImageFormat format = request_.file_layout.format;
      facts.move.image.path = (fs::path(request_.to_dir) / (name + "." + format.name())).string();
      facts.move.image.format = format;
    } else {
      facts.move.volume = goal_of(request_, facts_.live, disk.target);
      if (disk.image.is_rbd()) {
        facts.move.image.volume = volume_of(disk.image);
      }
    }
    check_target(disk_target(request_, facts.move));  // before anybody is asked about such a name
    facts_.disks.push_back(std::move(facts));
  }

  /// Of a storage pool's volume it is known only if that moves.
  std::string file_of(const DomainDisk& disk) const {
    for (const DiskFacts& moving : facts_.disks) {
      if (moving.move.dev == disk.target) {
        return moving.move.image.path;
      }
    }
    return disk.image.path;
  }

  /// Two disks on one file become two volumes. Their names may differ: links, or a path and a
  /// storage pool's volume.
  void look_for_same_files() {
    for (DiskFacts& disk : facts_.disks) {
      if (request_.to_files() || !disk.problem.ok() || disk.move.image.volume) {
        continue;
      }
      for (const DomainDisk& other : facts_.live.disks) {
        std::error_code unknown;  // there may be no such file: then it is not the same
        if (other.target == disk.move.dev ||
            !fs::equivalent(disk.move.image.path, file_of(other), unknown)) {
          continue;
        }
        disk.problem = {.failure = fmt::format("{} and {} are on one image, {}: they would be two "
                                               "disks afterwards",
                                               disk.move.dev, other.target, disk.move.image.path),
                        .hint = "take one of them out of the definition first"};
      }
    }
  }

  /// Now for the checks; before anything is deleted it is asked again.
  void old_disks() {
    for (DiskFacts& disk : facts_.disks) {
      try {
        disk.source_stays = why_old_disk_stays(disk);
      } catch (const Error& error) {
        pass_on_cancelled(error);
        disk.source_stays =
            std::string("what else needs it could not be found out: ") + error.what();
      }
    }
  }

  std::string why_old_disk_stays(const DiskFacts& disk) {
    const bool is_volume = request_.to_files() || disk.move.image.volume;
    if (!is_volume && !disk.look) {
      return {};  // a failed check tells
    }
    if (disk.move.image.volume) {
      if (disk.parts.files.empty()) {
        return {};  // likewise
      }
      if (std::string reason = why_volume_stays(disk.move.image, disk.parts); !reason.empty()) {
        return reason;
      }
    }
    if (!is_volume) {
      // A disk that QEMU mirrors counts as raw in the plan.
      const ImageFormat declared = format_of(disk.disk.image).value_or(ImageFormat());
      if (std::string reason = why_foreign_stays(declared); !reason.empty()) {
        return reason;
      }
      if (std::string reason = why_file_stays(disk.move.image, *disk.look); !reason.empty()) {
        return reason;
      }
    }
    const auto moves = [this](const Need& need) {
      return need.domain == request_.domain &&
             std::any_of(facts_.disks.begin(), facts_.disks.end(),
                         [&](const DiskFacts& other) { return other.move.dev == need.dev; });
    };
    return who_needs(is_volume ? disk.move.original : disk.look->identity, needs(), moves);
  }

  const std::vector<Need>& needs() {
    if (!needs_) {
      needs_ = all_needs(source_, *context_.storage);
    }
    return *needs_;
  }

  void target() {
    const std::shared_ptr<Guest> there = target_.guest(request_.domain);
    facts_.state_at_target = there->state();
    facts_.uuid_at_target = there->uuid();
    facts_.name_at_target = target_.name_of_uuid(facts_.live.uuid);
    for (const std::string& network : facts_.live.networks) {
      if (!target_.network_active(network)) {
        facts_.missing_networks.push_back(network);
      }
    }
    if (!facts_.target.local) {
      return;
    }
    for (const std::string& path : facts_.live.media_paths()) {
      if (!context_.storage->file_exists(path)) {
        facts_.missing_media.push_back(path);
      }
    }
  }

  void cluster() {
    for (DiskFacts& disk : facts_.disks) {
      if (!facts_.access.ok()) {
        return;
      }
      facts_.access = attempt([&] {
        if (!look_at_pool(disk.move.volume.pool)) {
          return;
        }
        if (!disk.move.first_image) {  // what it takes would be asked of each object
          disk.volume = context_.storage->volume(disk.move.volume);
        }
        look_at_base(disk);
        if (request_.to_files() && disk.volume) {
          disk.move.data = disk.volume->allocated_bytes;
        }
      });
    }
    if (facts_.access.ok() && !request_.to_files()) {
      secrets();
    }
  }

  void look_at_base(DiskFacts& disk) const {
    if (const auto base = request_.bases.find(disk.move.dev); base != request_.bases.end()) {
      disk.base = base->second;
      disk.base_access = attempt([&] { context_.storage->prove_base(disk.base); });
    }
  }

  /// Answers whether it exists.
  bool look_at_pool(const std::string& name) {
    const auto known = facts_.pools.find(name);
    if (known != facts_.pools.end()) {
      return known->second.exists;
    }
    const PoolFacts pool = context_.storage->pool(name);
    facts_.pools[name] = pool;
    if (pool.exists && !pool.full) {
      context_.storage->prove_access(name);
    }
    return pool.exists;
  }

  void secrets() {
    if (request_.user.empty()) {
      return;
    }
    if (method_ == CopyMethod::kStaged || !request_.to_other_host()) {
      secret_on(source_, facts_.source);
    }
    if (request_.to_other_host()) {
      secret_on(target_, facts_.target);
    }
  }

  void secret_on(Host& host, const HostFacts& about) {
    facts_.secrets.push_back(look_at_secret(host, about, request_, *context_.storage));
  }

  void definitions() {
    if (facts_.disks.empty()) {
      return;
    }
    facts_.rewriting = attempt([&] {
      std::vector<DiskMove> moves;
      for (const DiskFacts& disk : facts_.disks) {
        moves.push_back({.disk = disk.move.dev, .to = disk_target(request_, disk.move)});
      }
      facts_.rewritten_stored =
          rewrite_disks(parse_domain(facts_.migratable_stored, "the persistent definition"), moves);
      for (DiskMove& move : moves) {
        move.driver = for_live_copy({});
      }
      facts_.rewritten_live =
          rewrite_disks(parse_domain(facts_.migratable_live, "the live definition"), moves);
    });
    if (!facts_.rewriting.ok()) {
      return;
    }
    const bool secret_comes =
        !facts_.secrets.empty() && facts_.secrets.back().state == SecretState::kWillBeDefined;
    if (secret_comes) {
      return;  // libvirt would only say that it is not there yet
    }
    facts_.target_takes_stored = attempt([&] { target_.validate(facts_.rewritten_stored); });
    if (is_live(method_)) {
      facts_.target_takes_live = attempt([&] { target_.validate(facts_.rewritten_live); });
    }
  }

  const MigrateRequest& request_;
  const MigrateContext& context_;
  Host& source_;
  Host& target_;
  const std::shared_ptr<Guest> guest_;  ///< at the source
  Facts facts_;
  CopyMethod method_ = CopyMethod::kOffline;
  std::optional<std::vector<Need>> needs_;
};

}  // namespace

CopyMethod choose_method(const MigrateRequest& request, DomainState state,
                         const HostFacts& source) {
  const bool up = state != DomainState::kShutOff;
  if (request.mode == MigrateMode::kOffline || request.rewrite_only ||
      (request.mode == MigrateMode::kAuto && !up)) {
    return CopyMethod::kOffline;
  }
  const bool can_stage =
      !request.to_other_host() || (source.local && source.rbd_driver.value_or(true));
  const bool staged = request.method == MigrateMethod::kStaged ||
                      (request.method == MigrateMethod::kAuto && can_stage);
  return staged ? CopyMethod::kStaged : CopyMethod::kMirrored;
}

Facts gather_facts(const MigrateRequest& request, const MigrateContext& context, WarmRun warm) {
  return Gatherer(request, context, std::move(warm)).gather();
}

DiskTarget disk_target(const MigrateRequest& request, const MovingDisk& disk) {
  if (request.to_files()) {
    return FileTarget{.path = disk.image.path, .format = disk.image.format.name()};
  }
  return RbdTarget{.pool = disk.volume.pool,
                   .image = disk.volume.image,
                   .monitors = request.monitors,
                   .id = request.user,
                   .secret_uuid = request.user.empty() ? "" : request.secret.uuid,
                   .secret_usage = request.user.empty() ? "" : request.secret.usage,
                   .conf = request.ceph_conf};
}

}  // namespace vmferry::migrate
