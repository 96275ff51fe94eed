// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/core/shell_word.h"
#include "lib/migrate/rehearsal_traces.h"
#include "lib/migrate/steps/steps.h"
#include "lib/migrate/sync_state.h"
#include "vmferry/error.h"

// How a sync ends, once the volumes have what was frozen. What they hold between two marks says
// nothing: a copy may have died there. So a layer goes down only when there is a mark above it, and
// the state of the warm move says so.

namespace vmferry::migrate {
void MarkVolumes::run() {
  const std::string name = sync_mark(plan_.round);
  for (const MovingDisk& disk : plan_.disks) {
    const std::vector<std::string> marks = context_.storage->marks(disk.volume);
    const bool is_there = std::find(marks.begin(), marks.end(), name) != marks.end();
    if (is_there && journal_.noted(marked(disk))) {
      continue;
    }
    if (is_there) {  // of a run that died before it could say so
      context_.storage->unmark(disk.volume, name);
    }
    context_.storage->mark(disk.volume, name);
    journal_.note(marked(disk));
  }
}

void MarkVolumes::undo() {
  for (const MovingDisk& disk : plan_.disks) {
    journal_.forget(marked(disk));
  }
}

void MarkVolumes::clean() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!disk.first_image) {
      continue;  // the volume itself goes
    }
    const std::string name = sync_mark(plan_.round);
    run_.try_to_remove("rbd snap rm " + shell_word(disk.volume.ceph_name() + "@" + name),
                       [&] { context_.storage->unmark(disk.volume, name); });
  }
}

void KeepState::run() {
  const SyncState state = run_.state_to_keep();
  journal_.note(kKept);
  write_sync_state(state, context_.state_dir);
}

void CommitLayers::run() {
  for (const MovingDisk& disk : plan_.disks) {
    if (journal_.noted(sunk(disk))) {
      continue;
    }
    run_.wake();
    source_.commit_layer(disk, [&] { run_.warn_of_room(disk.overlay); });
    journal_.note(sunk(disk));
  }
  run_.put_to_sleep();
}

void RemoveLayers::run() {
  for (const MovingDisk& disk : plan_.disks) {
    run_.require_unnamed(disk.image.path);
    context_.storage->remove_file(disk.image.path, disk.image.identity);
  }
  std::optional<SyncState> state = read_sync_state(plan_.request.domain, context_.state_dir);
  if (!state) {
    fail(ErrorKind::kNotFound, source_.name(), "go on with the warm move",
         "its state is gone: " + sync_state_path(plan_.request.domain, context_.state_dir));
  }
  for (SyncedDisk& disk : state->disks) {
    disk.layer.clear();
  }
  write_sync_state(*state, context_.state_dir);
  for (const MovingDisk& disk : plan_.disks) {
    run_.remove_old_marks(disk);
  }
}

void CommitBack::run() { Snapshot(run_).undo(); }

/// No snapshot goes while a clone needs the volume: once in the trash it keeps the volume there,
/// and nobody finds it by its name.
void RemoveVolumes::require_no_clones() const {
  if (!run_.warm()) {
    return;
  }
  for (const Check& check : check_may_remove(*run_.warm(), context_)) {
    fail(ErrorKind::kConflict, source_.name(), "remove its volumes",
         check.name + ": " + check.message, check.hint + "; then: " + run_.recovery());
  }
}

void RemoveVolumes::run() {
  require_no_clones();
  for (const MovingDisk& disk : plan_.disks) {
    if (!run_.warm()) {
      return;  // the state goes last
    }
    run_.require_unused(disk);
    for (const SyncedDisk& synced : run_.warm()->disks) {
      if (synced.dev == disk.dev && !fresh_.remove(disk, synced.volume_identity)) {
        context_.observer->warning(run_.goal(disk) + " stays: another volume has its name now");
      }
    }
  }
}

void EndWarmMove::run() {
  for (const MovingDisk& disk : plan_.disks) {
    try {
      remove_marks(disk);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNotFound) {  // an old volume may be deleted already
        context_.observer->warning(std::string("snapshots of the syncs stay: ") + error.what());
      }
    }
  }
  remove_sync_state(plan_.request.domain, context_.state_dir);
}

void EndWarmMove::remove_marks(const MovingDisk& disk) const {
  MigrationStorage& storage = *context_.storage;
  // Where the move is given up, a new volume that stays tells what it holds.
  if (plan_.kind == RunKind::kCutover) {
    for (const std::string& mark : storage.marks(disk.volume)) {
      if (round_of(mark) != 0) {
        storage.unmark(disk.volume, mark);
      }
    }
  }
  if (!disk.image.volume) {
    return;
  }
  for (const std::string& mark : storage.old_marks(disk.image)) {
    if (round_of(mark) != 0) {
      storage.unmark_old(disk.image, mark);
    }
  }
}

}  // namespace vmferry::migrate
