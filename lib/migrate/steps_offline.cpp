// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>

#include "lib/core/shell_word.h"
#include "lib/migrate/steps.h"
#include "vmferry/error.h"

// The offline way.

namespace vmferry::migrate {

void Steps::shut_down() {
  if (turned()) {
    return;
  }
  // It was started here again after it had been defined there: what waits there is of no use.
  if (plan_.other_host && source_.active()) {
    undo_define();
  }
  if (source_.active()) {
    journal_.note(kAskedOff);
  }
  const bool off = source_.shut_down(plan_.request.shutdown_timeout);
  journal_.forget(kAskedOff);
  if (off) {
    return;
  }
  if (!plan_.request.force_off) {
    fail(ErrorKind::kIo, source_.name(), "shut down", "the guest did not within --shutdown-timeout",
         "it may have ignored the power button: shut it down from within, or allow --force-off");
  }
  source_.host().destroy(source_.name());
}

void Steps::undo_shut_down() {
  if (!plan_.was_running) {
    return;
  }
  // The power button cannot be taken back: a guest that has not gone off yet may do so later.
  if (journal_.noted(kAskedOff) && source_.active()) {
    context_.observer->warning(
        "the guest was asked to shut down: waiting for that, to start it again");
    source_.wait_until_off(plan_.request.shutdown_timeout);
  }
  if (source_.state() == DomainState::kShutOff) {
    source_.host().start(source_.name(), false);
  }
  journal_.forget(kAskedOff);
}

std::string Steps::undefining(const std::string& uri) const {
  return "virsh " + (uri.empty() ? "" : "-c " + shell_word(uri) + " ") + "undefine --keep-nvram " +
         shell_word(source_.name());
}

void Steps::fail_divided(const std::string& action) const {
  fail(ErrorKind::kConflict, source_.name(), action,
       "it is defined on both hosts, and its disks there and here differ: it ran since",
       "find out where, undefine the other one (" + undefining(plan_.request.from) + ", or " +
           undefining(plan_.request.to) + "), then: " + recovery());
}

bool Steps::waits_at_target() const {
  return target_.state() == DomainState::kShutOff &&
         !misplaced(target_, DefinitionKind::kPersistent);
}

bool Steps::in_use_at_goal(const MovingDisk& disk) const {
  if (target_.state() == DomainState::kAbsent ||
      target_.place(disk, DefinitionKind::kPersistent) != Place::kTarget) {
    return false;
  }
  // Here the old definition is gone. There, both can be started: the guest must not lose what it
  // wrote on either side. Who started it there was us, or else nobody can tell.
  if (plan_.other_host && !target_.active() && !journal_.noted(kStarted) &&
      source_.state() != DomainState::kAbsent && !still_equal(disk)) {
    fail_divided("copy " + disk.dev);
  }
  return true;
}

bool Steps::still_equal(const MovingDisk& disk) const {
  return new_place_exists(disk) && context_.storage->same(disk.image, disk.volume, context_.stop);
}

void Steps::copy_offline() {
  for (const MovingDisk& disk : plan_.disks) {
    // On one host, the definition tells what an active domain runs with.
    const bool started_again = plan_.other_host && source_.active();
    if (started_again && journal_.noted(kStarted)) {
      fail_divided("copy " + disk.dev);
    }
    if (!started_again && in_use_at_goal(disk)) {
      continue;
    }
    if (source_.state() != DomainState::kShutOff) {
      fail(ErrorKind::kConflict, source_.name(), "copy " + disk.dev,
           "the domain was started meanwhile");
    }
    require_not_saved();
    copy_disk(disk, context_.stop);
  }
}

void Steps::define() {
  if (target_.state() != DomainState::kAbsent && !misplaced(target_, DefinitionKind::kPersistent)) {
    return;
  }
  if (source_.state() != DomainState::kShutOff) {
    fail(ErrorKind::kConflict, source_.name(), "define it with its new disks",
         "the domain was started meanwhile");
  }
  require_not_saved();
  target_.host().define(definition_to_send());
}

void Steps::undo_define() {
  if (target_.state() == DomainState::kAbsent || misplaced(target_, DefinitionKind::kPersistent)) {
    return;
  }
  const std::string action = "take the new definition back";
  // On one host it may have been started just before that definition was stored.
  const bool runs_old =
      !plan_.other_host && target_.active() && misplaced(target_, DefinitionKind::kLive);
  if (target_.active() && !runs_old) {
    fail(ErrorKind::kConflict, source_.name(), action, "the guest runs with it");
  }
  const bool runs_here = plan_.other_host && source_.active();
  if (runs_here && journal_.noted(kStarted)) {
    fail_divided(action);
  }
  if (!runs_here && !runs_old && (recovering_ || journal_.noted(kStarted))) {
    for (const MovingDisk& disk : plan_.disks) {
      if (!still_equal(disk)) {
        fail(ErrorKind::kConflict, source_.name(), action,
             "the guest ran with it and wrote to " + goal(disk),
             "finish the move: " + recovery("--finish"));
      }
    }
  }
  journal_.forget(kStarted);
  if (plan_.other_host) {
    target_.host().undefine(source_.name());
  } else {
    source_.host().define(
        with_old_disks(source_.definition(DefinitionKind::kMigratablePersistent)));
  }
}

void Steps::start() {
  if (target_.state() == DomainState::kShutOff) {
    if (plan_.other_host && source_.active()) {
      fail(ErrorKind::kConflict, source_.name(), "start",
           "it was started on the old host meanwhile");
    }
    journal_.note(kStarted);
    try {
      target_.host().start(source_.name(), false);
    } catch (const Error&) {
      if (!target_.active()) {
        throw;
      }
    }
  }
  if (!target_.active()) {
    fail(ErrorKind::kIo, source_.name(), "start", "it does not run although libvirt started it",
         "QEMU's log tells why: /var/log/libvirt/qemu/" + source_.name() + ".log");
  }
}

std::optional<std::string> Steps::misplaced(const Machine& machine, DefinitionKind kind) const {
  const Domain domain = machine.definition(kind);
  const bool stored = kind == DefinitionKind::kPersistent;
  bool placed = plan_.disks.empty();
  for (const MovingDisk& disk : plan_.disks) {
    // One that was taken out of the stored definition only has no place there.
    if (stored && !domain.find_disk(disk.dev)) {
      continue;
    }
    if (machine.place_in(domain, disk) != Place::kTarget) {
      return disk.dev;
    }
    placed = true;
  }
  return placed ? std::nullopt : std::optional(plan_.disks.front().dev);
}

}  // namespace vmferry::migrate
