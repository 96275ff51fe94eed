// SPDX-License-Identifier: LGPL-2.1-or-later
#include <thread>

#include "lib/core/blocking_call.h"
#include "lib/migrate/route.h"
#include "lib/migrate/steps.h"
#include "vmferry/error.h"

// Live migration to another host: over the shared volume, or with storage copy through NBD.

namespace vmferry::migrate {

LiveMigration Steps::migration_options() const {
  const MigrateRequest& request = plan_.request;
  LiveMigration migration;
  migration.bandwidth = request.bandwidth;
  migration.auto_converge = request.auto_converge;
  migration.parallel = request.parallel;
  migration.synchronous_writes = request.synchronous_writes;
  migration.max_downtime_ms = request.max_downtime_ms;
  migration.tls = request.tls;
  const Route route = route_of(request, target_.host().facts().uri);
  migration.listen_address = route.listen;
  migration.migration_uri = route.uri;
  return migration;
}

bool Steps::arrived() const {
  if (!plan_.other_host || !target_is_known()) {
    return false;
  }
  if (source_.active()) {
    return false;
  }
  if (target_.active()) {
    return true;
  }
  // It may have been stopped since: its definition tells that it was there.
  return target_.state() == DomainState::kShutOff &&
         !misplaced(target_, DefinitionKind::kPersistent);
}

void Steps::migrate_shared() {
  if (arrived()) {
    return;
  }
  LiveMigration migration = migration_options();
  // A new QEMU opens the volumes: here the live definition, too, can say all of the new disks.
  migration.destination = with_new_disks(source_.definition(DefinitionKind::kMigratable));
  migration.persistent = definition_to_send();
  migrate_guest(migration);
}

void Steps::migrate_mirrored() {
  if (arrived()) {
    return;
  }
  // From then on such a definition tells that the guest arrived.
  if (waits_at_target() && recovering_) {
    fail_divided("migrate");
  }
  if (waits_at_target()) {
    fail(ErrorKind::kConflict, source_.name(), "migrate",
         "the target has a definition of it that names the new volumes already",
         "if it has not run there, undefine it there: " + undefining(plan_.request.to));
  }
  LiveMigration migration = migration_options();
  migration.destination =
      with_new_disks(source_.definition(DefinitionKind::kMigratable), for_live_copy({}));
  migration.persistent = definition_to_send();
  for (const MovingDisk& disk : plan_.disks) {
    migration.copy_disks.push_back(disk.dev);
  }
  migrate_guest(migration);
}

void Steps::undo_migration() {
  // libvirt keeps a definition there only of a guest that arrived. Here it runs with its old disks.
  if (target_is_known() && source_.active() && waits_at_target()) {
    fail_divided("undo the migration");
  }
  wait_for_half_made();
  clear_half_made();
  restore_autostart();
}

void Steps::restore_autostart() {
  if (!journal_.noted(kNoAutostart)) {
    return;
  }
  source_.host().set_autostart(source_.name(), plan_.autostart);
  journal_.forget(kNoAutostart);
}

void Steps::wait_for_half_made() {
  if (!target_is_known()) {
    return;
  }
  // The target's libvirt takes away what a dead run began once it sees that its client is gone.
  const Clock::time_point give_up = source_.now() + context_.patience.abort_migration;
  while (source_.active() && target_.state() == DomainState::kPaused && source_.now() < give_up) {
    std::this_thread::sleep_for(context_.patience.poll * 4);
  }
}

void Steps::undo_alone() {
  if (!plan_.other_host || target_is_known()) {
    return;
  }
  const bool may_be_there = !pending(StepKind::kMigrateShared) ||
                            !pending(StepKind::kMigrateMirrored) || !pending(StepKind::kDefine);
  if (!may_be_there) {
    return;
  }
  // A guest that runs here with its old disks did not go there.
  if (!source_.active()) {
    fail(ErrorKind::kConflict, source_.name(), "undo the move",
         "it does not run here, and the other host cannot be asked whether it runs there",
         "start it here if you are sure that it does not run there, and try again");
  }
  context_.observer->warning("what the other host may have of it stays there; once it answers: " +
                             undefining(plan_.request.to));
}

void Steps::clear_half_made() {
  if (!target_is_known()) {
    return;
  }
  if (!source_.active() || !target_.active()) {
    return;
  }
  try {
    if (target_.half_made()) {
      return target_.host().destroy(source_.name());
    }
  } catch (const Error&) {
    if (!target_.active()) {
      return;  // its libvirt has just taken it away
    }
    throw;
  }
  fail(ErrorKind::kConflict, source_.name(), "migrate", "it is active on both hosts",
       "find out where it has its newest data, destroy the other one ('virsh destroy'), then: " +
           recovery());
}

void Steps::stay_here() {
  if (!target_is_known()) {
    // A guest that runs here has not left.
    if (source_.active()) {
      return;
    }
    fail(ErrorKind::kConflict, source_.name(), "stay on this host",
         "it does not run here, and the other host cannot be asked whether it runs there",
         "start it here if you are sure that it does not run there, and try again");
  }
  if (arrived()) {
    fail(ErrorKind::kConflict, source_.name(), "stay on this host",
         "it is on the other host already", "finish the move: " + recovery("--finish"));
  }
  clear_half_made();
}

void Steps::migrate_guest(const LiveMigration& migration) {
  // libvirt does not compare these, and a wrong one breaks the target's table of domains.
  for (const std::string* text : {&migration.destination, &migration.persistent}) {
    const Domain domain = parse_domain(*text, "the definition for the target");
    if (domain.name != source_.name() || domain.uuid != plan_.uuid) {
      fail(ErrorKind::kConflict, source_.name(), "migrate",
           "the new definition is of another machine: " + domain.name + ", " + domain.uuid);
    }
  }
  if (recovering_) {
    clear_half_made();
  }
  if (arrived()) {
    return;
  }
  // From now on the guest may be gone from here: no boot of this host may start it again.
  if (plan_.autostart) {
    journal_.note(kNoAutostart);
    source_.host().set_autostart(source_.name(), false);
  }
  // The definition that is sent names the new disks: it must be what the guest has.
  require_known_places();
  BlockingCall moving([source = context_.source, target = context_.target, domain = source_.name(),
                       migration] { source->migrate(domain, *target, migration); });
  const std::optional<Clock::time_point> deadline = this->deadline();
  std::optional<Clock::time_point> aborted;
  bool timed_out = false;
  while (!moving.wait(context_.patience.watch)) {
    timed_out = timed_out || (deadline && source_.now() > *deadline);
    if (!aborted && (timed_out || context_.stop.stop_requested())) {
      aborted = source_.now();
      try {
        source_.host().abort_migration(source_.name());
      } catch (const Error&) {
        // It may just have ended, or not begun.
      }
    } else if (aborted && source_.now() - *aborted > context_.patience.abort_migration) {
      // A half-made domain that waits for a dead cluster holds libvirt up. It has run no
      // instruction; nothing else may be destroyed there.
      if (target_.state() == DomainState::kPaused && source_.active()) {
        target_.host().destroy(source_.name());
      }
      aborted = source_.now();
    }
    try {
      if (const auto stats = source_.host().migration_stats(source_.name())) {
        context_.observer->job("migrate", stats->done, stats->total, stats->dirty_rate);
      }
    } catch (const Error&) {
      // Nothing to show, then.
    }
  }
  context_.observer->job_ended();
  try {
    moving.result();
  } catch (const Error&) {
    if (!arrived()) {
      try {
        restore_autostart();
      } catch (const Error&) {
        // It is noted: the end of the run sees to it.
      }
      source_.throw_if_stopped();
      if (timed_out) {
        fail(ErrorKind::kIo, source_.name(), "migrate", "not done within --timeout",
             "try a longer one, --auto-converge, or a quieter time");
      }
      throw;
    }
  }
  downtime_ms_ = target_.host().last_downtime(source_.name());
}

std::string Steps::definition_to_send() {
  const Domain stored = source_.definition(DefinitionKind::kMigratablePersistent);
  warn_of_replaced(source_, stored);
  journal_.record(kSent, stored.text);
  return with_new_disks(stored);
}

void Steps::carry_edits(const Domain& now) {
  const std::optional<std::string> sent = journal_.recorded(kSent);
  if (!sent || now.text == *sent) {
    return;
  }
  target_.host().define(with_new_disks(now));
  std::string files;
  const Domain before = parse_domain(*sent, "the definition that was sent");
  for (const DomainDisk& disk : now.disks) {
    if (!before.find_disk(disk.target)) {
      files += "; " + disk.target + " is new: does the target see " + disk.image.display() + "?";
    }
  }
  context_.observer->warning(
      "the definition was edited at the source meanwhile: the target has it as it is now" + files);
  journal_.record(kSent, now.text);
}

void Steps::undefine_source() {
  const DomainState state = source_.state();
  if (state == DomainState::kAbsent) {
    return;
  }
  if (state != DomainState::kShutOff) {
    fail(ErrorKind::kConflict, source_.name(), "undefine at the source", "it runs there");
  }
  journal_.note(kLeft);
  source_.host().set_autostart(source_.name(), false);
  const Domain last = source_.definition(DefinitionKind::kMigratablePersistent);
  carry_edits(last);
  const std::string kept = journal_.keep("source", with_old_disks(last));
  if (!plan_.request.keep_source_definition) {
    source_.host().undefine(source_.name());
  }
  kept_.push_back(kept);
}

void Steps::undo_undefine_source() {
  // Of an offline move only: somebody started it again before it was gone.
  if (source_.state() != DomainState::kAbsent &&
      source_.host().autostart(source_.name()) != plan_.autostart) {
    source_.host().set_autostart(source_.name(), plan_.autostart);
  }
}

}  // namespace vmferry::migrate
