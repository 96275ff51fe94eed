// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <charconv>

#include "lib/core/shell_word.h"
#include "lib/migrate/steps/steps.h"
#include "lib/migrate/sync_state.h"
#include "vmferry/error.h"

// How a sync ends, once the volumes have what was frozen. What they hold between two marks says
// nothing: a copy may have died there. So a layer goes down only when there is a mark above it, and
// the state of the warm move says so.

namespace vmferry::migrate {
namespace {

/// Of syncs before the last one.
constexpr unsigned kMarksKept = 8;

/// 0: the snapshot is of no sync.
unsigned round_of(const std::string& mark) {
  const std::string prefix = sync_mark(0).substr(0, sync_mark(0).size() - 1);
  unsigned number = 0;
  if (mark.starts_with(prefix)) {
    std::from_chars(mark.data() + prefix.size(), mark.data() + mark.size(), number);
  }
  return mark == sync_mark(number) ? number : 0;
}

}  // namespace

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
    remove_old_marks(disk);
  }
}

void RemoveLayers::remove_old_marks(const MovingDisk& disk) const {
  try {
    for (const std::string& mark : context_.storage->marks(disk.volume)) {
      const unsigned number = round_of(mark);
      if (number != 0 && number + kMarksKept < plan_.round) {
        context_.storage->unmark(disk.volume, mark);
      }
    }
  } catch (const Error& error) {
    context_.observer->warning(std::string("an old snapshot stays: ") + error.what());
  }
}

void CommitBack::run() { Snapshot(run_).undo(); }

void RemoveVolumes::run() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!run_.warm()) {
      return;  // the state goes last
    }
    for (const SyncedDisk& synced : run_.warm()->disks) {
      if (synced.dev == disk.dev && !fresh_.remove(disk, synced.volume_identity)) {
        context_.observer->warning(run_.goal(disk) + " stays: another volume has its name now");
      }
    }
  }
}

void EndWarmMove::run() {
  for (const MovingDisk& disk : plan_.disks) {
    if (plan_.kind != RunKind::kCutover) {
      break;  // a volume that stays tells what it holds
    }
    try {
      for (const std::string& mark : context_.storage->marks(disk.volume)) {
        if (round_of(mark) != 0) {
          context_.storage->unmark(disk.volume, mark);
        }
      }
    } catch (const Error& error) {
      context_.observer->warning(std::string("snapshots of the syncs stay: ") + error.what());
    }
  }
  remove_sync_state(plan_.request.domain, context_.state_dir);
}

}  // namespace vmferry::migrate
