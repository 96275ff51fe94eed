// SPDX-License-Identifier: LGPL-2.1-or-later
#include <thread>

#include "lib/core/blocking_call.h"
#include "lib/migrate/route.h"
#include "lib/migrate/run.h"
#include "vmferry/error.h"

// A guest goes to another host.

namespace vmferry::migrate {

LiveMigration Run::migration_options() const {
  const MigrateRequest& request = plan_.request;
  LiveMigration migration;
  migration.bandwidth = bandwidth_now();
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

void Run::migrate_guest(const LiveMigration& migration) {
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
    source_.guest().set_autostart(false);
  }
  // The definition that is sent names the new disks: it must be what the guest has.
  require_known_places();
  BlockingCall moving([guest = context_.source->guest(source_.name()), target = context_.target,
                       migration] { guest->migrate(*target, migration); });
  const std::optional<Clock::time_point> deadline = this->deadline();
  std::optional<Clock::time_point> aborted;
  bool timed_out = false;
  while (!moving.wait(context_.patience.watch)) {
    timed_out = timed_out || (deadline && source_.now() > *deadline);
    if (!aborted && (timed_out || context_.stop.stop_requested())) {
      aborted = source_.now();
      try {
        source_.guest().abort_migration();
      } catch (const Error&) {
        // It may just have ended, or not begun.
      }
    } else if (aborted && source_.now() - *aborted > context_.patience.abort_migration) {
      // A half-made domain that waits for a dead cluster holds libvirt up. It has run no
      // instruction; nothing else may be destroyed there.
      if (target_.state() == DomainState::kPaused && source_.active()) {
        target_.guest().destroy();
      }
      aborted = source_.now();
    }
    try {
      if (const auto stats = source_.guest().migration_stats()) {
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
  downtime_ms_ = target_.guest().last_downtime();
}

void Run::wait_for_half_made() {
  if (!target_is_known()) {
    return;
  }
  // The target's libvirt takes away what a dead run began once it sees that its client is gone.
  const Clock::time_point give_up = source_.now() + context_.patience.abort_migration;
  while (source_.active() && target_.state() == DomainState::kPaused && source_.now() < give_up) {
    std::this_thread::sleep_for(context_.patience.poll * 4);
  }
}

void Run::clear_half_made() {
  if (!target_is_known()) {
    return;
  }
  if (!source_.active() || !target_.active()) {
    return;
  }
  try {
    if (target_.half_made()) {
      return target_.guest().destroy();
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

void Run::restore_autostart() {
  if (!journal_.noted(kNoAutostart)) {
    return;
  }
  source_.guest().set_autostart(plan_.autostart);
  journal_.forget(kNoAutostart);
}

}  // namespace vmferry::migrate
