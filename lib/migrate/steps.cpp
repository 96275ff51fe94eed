// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps.h"

#include <algorithm>

#include "lib/core/shell_word.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

Steps::Steps(const Plan& plan, const MigrateContext& context, Journal& journal, bool recovering)
    : plan_(plan),
      context_(context),
      journal_(journal),
      recovering_(recovering),
      source_(plan, context, context.source),
      target_(plan, context, context.target),
      began_(source_.now()) {}

void Steps::run(const Step& step) {
  switch (step.kind) {
    case StepKind::kDefineSecret:
      return define_secret();
    case StepKind::kCreateVolumes:
      return create_volumes();
    case StepKind::kSnapshot:
      return snapshot();
    case StepKind::kCopyFrozen:
      return copy_frozen();
    case StepKind::kStageOverlays:
      return stage_overlays();
    case StepKind::kPivotOverlays:
      return pivot_overlays();
    case StepKind::kCommit:
      return commit_overlays();
    case StepKind::kMirror:
      return mirror();
    case StepKind::kPivotMirrors:
      return pivot_mirrors();
    case StepKind::kMigrateShared:
      return migrate_shared();
    case StepKind::kMigrateMirrored:
      return migrate_mirrored();
    case StepKind::kShutDown:
      return shut_down();
    case StepKind::kCopyOffline:
      return copy_offline();
    case StepKind::kDefine:
      return define();
    case StepKind::kStart:
      return start();
    case StepKind::kCheckDefinitions:
      return check_definitions();
    case StepKind::kSparsify:
      return sparsify();
    case StepKind::kRemoveOverlays:
      return remove_overlays();
    case StepKind::kUndefineSource:
      return undefine_source();
    case StepKind::kDeleteSource:
      return delete_source();
  }
}

void Steps::undo(const Step& step) {
  switch (step.kind) {
    case StepKind::kSnapshot:
      return undo_snapshot();
    case StepKind::kStageOverlays:
      return undo_stage_overlays();
    case StepKind::kMirror:
      return undo_mirror();
    case StepKind::kMigrateMirrored:
      return undo_migration();
    case StepKind::kUndefineSource:
      return undo_undefine_source();
    case StepKind::kShutDown:
      return undo_shut_down();
    case StepKind::kDefine:
      return undo_define();
    default:
      return;  // it changed nothing that lasts, or nothing that must go
  }
}

bool Steps::only_makes(const Step& step) {
  return step.kind == StepKind::kCreateVolumes || step.kind == StepKind::kCopyFrozen ||
         step.kind == StepKind::kCopyOffline;
}

void Steps::clean(const Step& step) {
  if (only_makes(step)) {
    return clean_copies();
  }
  if (step.kind == StepKind::kSnapshot) {
    return clean_overlays();
  }
  if (step.kind == StepKind::kStageOverlays) {
    return clean_bridges();
  }
}

void Steps::try_to_remove(const std::string& command, const std::function<void()>& remove) {
  try {
    remove();
  } catch (const Error& error) {
    left_over_.push_back({.why = error.what(), .command = command});
  }
}

void Steps::wait_until_idle() {
  source_.wait_until_idle();
  if (!plan_.other_host || !target_is_known()) {
    return;
  }
  target_.wait_until_idle();
  wait_for_half_made();
}

bool Steps::turned() const {
  if (journal_.noted(kRetired)) {
    return true;
  }
  if (!plan_.live) {
    return turned_offline();
  }
  if (journal_.noted(kLeft)) {
    return true;
  }
  if (plan_.other_host && arrived()) {
    return true;
  }
  return std::any_of(plan_.disks.begin(), plan_.disks.end(), [this](const MovingDisk& disk) {
    if (journal_.noted(switched(disk))) {
      return true;
    }
    const Place place = source_.place(disk);
    return place == Place::kBridge || place == Place::kTarget;
  });
}

bool Steps::turned_offline() const {
  if (target_.active()) {
    return !misplaced(target_, DefinitionKind::kLive);
  }
  if (!plan_.other_host || !waits_at_target()) {
    return false;
  }
  // Both could be started. Where the old one was, that is what people work with.
  const DomainState old = source_.state();
  return old == DomainState::kAbsent || (old == DomainState::kShutOff && journal_.noted(kLeft));
}

bool Steps::better_finished() const {
  // Unless the old machine was started again: then that is the one that people work with.
  return !plan_.live && target_.state() != DomainState::kAbsent &&
         !misplaced(target_, DefinitionKind::kPersistent) &&
         !(plan_.other_host && source_.active());
}

bool Steps::settled(const Step& step) const {
  switch (step.kind) {
    case StepKind::kDefineSecret:
    case StepKind::kSparsify:
    case StepKind::kUndefineSource:
      return true;
    case StepKind::kMigrateShared:
    case StepKind::kMigrateMirrored:
    case StepKind::kCheckDefinitions:
      return false;
    default:
      // What comes before a migration is past when the guest has gone.
      return plan_.live && plan_.other_host && arrived();
  }
}

std::optional<Clock::time_point> Steps::deadline() const {
  if (plan_.request.timeout.count() == 0) {
    return std::nullopt;
  }
  return began_ + plan_.request.timeout;
}

void Steps::require_not_saved() const {
  if (!source_.host().was_saved(source_.name())) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "work on its disks",
       "its memory was saved meanwhile, and belongs to its disks as they are now",
       "start it, or restore it from the file that it was saved to: it goes on with what it did "
       "then. After that: " +
           recovery());
}

void Steps::wake() {
  if (source_.active()) {
    return;
  }
  require_not_saved();
  journal_.note(kWoken);
  source_.host().start(source_.name(), true);
}

void Steps::put_to_sleep() {
  if (!journal_.noted(kWoken)) {
    return;
  }
  // Who resumed it in between wants it to run, and its memory is worth something.
  if (source_.never_ran()) {
    source_.host().destroy(source_.name());
  }
  journal_.forget(kWoken);
}

void Steps::define_secret() {
  const std::string key = context_.storage->user_key();
  const bool here = plan_.staged || !plan_.other_host;
  for (const Machine* machine : {&source_, &target_}) {
    if (machine == &source_ && !here) {
      continue;
    }
    const std::optional<FoundSecret> found = machine->host().find_secret(plan_.request.secret);
    if (found && found->key == key) {
      continue;
    }
    machine->host().define_secret(plan_.request.secret, key);
  }
}

bool Steps::new_place_exists(const MovingDisk& disk) const {
  return plan_.to_files ? context_.storage->file_exists(disk.image.path)
                        : context_.storage->volume(disk.volume).has_value();
}

void Steps::make_ours(const std::string& note, const std::function<void()>& make) {
  journal_.note(note);
  try {
    make();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kConflict) {
      journal_.forget(note);
    }
    throw;
  }
}

bool Steps::is_ours(const MovingDisk& disk) const {
  const std::optional<std::string> made = journal_.recorded(identity(disk));
  if (!made) {
    return false;
  }
  if (!plan_.to_files) {
    return context_.storage->identity(disk.volume) == *made;
  }
  const std::optional<FileLook> look = context_.storage->look(disk.image.path);
  return look && look->identity == *made;
}

void Steps::make_new_place(const MovingDisk& disk,
                           const std::function<void(const MigrationStorage::Made&)>& make) {
  try {
    make_ours(made(disk), [&] {
      make([&](const std::string& made) { journal_.record(identity(disk), made); });
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConflict || !new_place_exists(disk)) {
      throw;
    }
    // The checks found none: what a person may do about it is not what a copy would say.
    ErrorParts parts = error.parts();
    parts.hint = goal(disk) + " was made after the checks: ";
    parts.hint += plan_.to_files
                      ? "move it away, or name another directory with --to-dir"
                      : "remove it (rbd rm " + disk.volume.ceph_name() +
                            "), or name another with --disk " + disk.dev + "=rbd:POOL/IMAGE";
    throw Error(parts);
  }
}

void Steps::copy_disk(const MovingDisk& disk, std::stop_token stop) {
  if (journal_.noted(copied(disk)) && !recovering_) {
    return;
  }
  if (journal_.noted(made(disk)) && new_place_exists(disk)) {
    // Is it still true? The old image may have been written to since.
    if (context_.storage->same(disk.image, disk.volume, stop)) {
      return journal_.note(copied(disk));
    }
    remove_copy(disk);
  }
  make_new_place(disk, [&](const MigrationStorage::Made& made) {
    if (plan_.to_files) {
      context_.storage->copy_out(disk.volume, plan_.staged, disk.image.path,
                                 plan_.request.bandwidth, stop, made);
    } else {
      context_.storage->copy_in(disk.image, disk.volume, plan_.request.bandwidth, stop, made);
    }
  });
  journal_.note(copied(disk));
}

std::string Steps::with_new_disks(const Domain& domain, const DriverOptions& driver) const {
  std::vector<DiskMove> moves;
  for (const MovingDisk& disk : plan_.disks) {
    if (domain.find_disk(disk.dev)) {  // else somebody took it out of this definition
      moves.push_back({.disk = disk.dev, .to = new_place(disk), .driver = driver});
    }
  }
  return rewrite_moved_disks(domain, moves);
}

std::string Steps::with_old_disks(const Domain& domain) const {
  std::vector<std::string> targets;
  for (const MovingDisk& disk : plan_.disks) {
    targets.push_back(disk.dev);
  }
  return restore_disks(domain, parse_domain(plan_.original_persistent, "the old definition"),
                       targets);
}

void Steps::remove_copy(const MovingDisk& disk) {
  journal_.forget(copied(disk));
  // Killed before it had a name, it may have been overtaken by somebody's of that name.
  const std::string ours = journal_.recorded(identity(disk)).value_or("");
  const bool removed = plan_.to_files ? context_.storage->remove_file(disk.image.path, ours)
                                      : context_.storage->remove_volume(disk.volume, ours);
  journal_.forget(made(disk));
  if (!removed) {
    context_.observer->warning(goal(disk) + " stays: it is not what this run made");
  }
}

void Steps::clean_copies() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!journal_.noted(made(disk))) {
      continue;
    }
    // What may hold the newest data is not among what is named for removal.
    require_before_copy(disk);
    try_to_remove(removing_command(disk), [&] {
      if (!plan_.to_files && source_.active()) {
        close_unused(disk);
      }
      remove_copy(disk);
    });
  }
}

void Steps::close_unused(const MovingDisk& disk) const {
  try {
    source_.host().close_unused_volume(source_.name(), disk.volume.pool, disk.volume.image);
  } catch (const Error&) {
    // If it is open there, its removal tells.
  }
}

std::string Steps::removing_command(const MovingDisk& disk) const {
  return plan_.to_files ? "rm " + shell_word(disk.image.path) : "rbd rm " + disk.volume.ceph_name();
}

bool Steps::old_disk_exists(const MovingDisk& disk) const {
  if (plan_.to_files) {
    return context_.storage->volume(disk.volume).has_value();
  }
  // A mirror's source may be on a host whose files cannot be looked at.
  return !plan_.request.delete_source || context_.storage->file_exists(disk.image.path);
}

MigrateReport Steps::report() const {
  MigrateReport report;
  report.end = MigrateReport::End::kMoved;
  for (const MovingDisk& disk : plan_.disks) {
    MigrateReport::Disk line{
        .dev = disk.dev, .from = disk.original, .to = goal(disk), .before = {}, .after = {}};
    line.before = {.virtual_bytes = disk.size, .allocated_bytes = disk.data};
    line.after.virtual_bytes = disk.size;
    try {
      if (plan_.to_files) {
        line.after.allocated_bytes = context_.storage->file_allocation(disk.image.path);
      } else {
        line.after = context_.storage->volume(disk.volume).value_or(line.after);
      }
      if (old_disk_exists(disk)) {
        report.kept.push_back(disk.original);
      }
    } catch (const std::exception& error) {
      context_.observer->warning(std::string("the move is complete, but: ") + error.what());
    }
    report.disks.push_back(std::move(line));
  }
  report.kept.insert(report.kept.end(), kept_.begin(), kept_.end());
  report.downtime_ms = downtime_ms_;
  report.seconds = std::chrono::duration<double>(source_.now() - began_).count();
  return report;
}

}  // namespace vmferry::migrate
