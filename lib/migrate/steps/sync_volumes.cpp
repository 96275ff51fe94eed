// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "lib/core/shell_word.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// The syncs of a guest on volumes. A snapshot of each old volume is what is copied, and tells the
// next sync what is new; so the guest writes to its old volumes all the time. Only where several
// volumes have to be of one moment, or its agent has to freeze its file systems, it is on overlays
// while the snapshots are made.

namespace vmferry::migrate {

void MarkOld::run() {
  if (journal_.noted(kMarkedOld)) {
    return;
  }
  for (const MovingDisk& disk : plan_.disks) {
    mark(disk);
  }
  if (!journal_.recorded(kFrozenAt)) {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    journal_.record(kFrozenAt, fmt::format("{:.3f}", now.count()));
  }
  journal_.note(kMarkedOld);
}

bool MarkOld::has_mark(const MovingDisk& disk, const std::string& name) const {
  const std::vector<std::string> marks = context_.storage->old_marks(disk.image);
  return std::find(marks.begin(), marks.end(), name) != marks.end();
}

void MarkOld::mark(const MovingDisk& disk) {
  const std::string name = sync_mark(plan_.round);
  if (has_mark(disk, name)) {
    if (!journal_.noted(marked_old(disk))) {
      fail(ErrorKind::kConflict, source_.name(),
           "make the snapshot " + name + " of " + disk.original,
           "it has one of that name, which this warm move did not make",
           "if nobody needs it, remove it: rbd snap rm " +
               shell_word(disk.image.volume->ceph_name() + "@" + name));
    }
    context_.storage->unmark_old(disk.image, name);  // of another moment than the others
  }
  journal_.note(marked_old(disk));
  context_.storage->mark_old(disk.image, name);
}

void MarkOld::undo() { journal_.forget(kMarkedOld); }

void MarkOld::clean() {
  const std::string name = sync_mark(plan_.round);
  for (const MovingDisk& disk : plan_.disks) {
    if (!journal_.noted(marked_old(disk))) {
      continue;
    }
    run_.try_to_remove("rbd snap rm " + shell_word(disk.image.volume->ceph_name() + "@" + name),
                       [&] {
                         if (has_mark(disk, name)) {  // who may not make it, may not remove any
                           context_.storage->unmark_old(disk.image, name);
                         }
                         journal_.forget(marked_old(disk));
                       });
  }
}

void Unfreeze::run() {
  const std::optional<std::string> frozen_at = journal_.recorded(kFrozenAt);
  Snapshot(run_).undo();
  if (frozen_at) {  // that is the moment of the snapshots, all the same
    journal_.record(kFrozenAt, *frozen_at);
  }
  if (!journal_.noted(kFrozen)) {
    return;
  }
  for (const MovingDisk& disk : plan_.disks) {
    run_.remove_overlay(disk);
  }
  journal_.forget(kFrozen);
}

void CopyMarked::run() {
  const std::optional<Clock::time_point> deadline = run_.deadline();
  for (const MovingDisk& disk : plan_.disks) {
    run_.require_from(disk, Place::kOriginal);
    copy(run_.as_read(disk), deadline);
  }
}

void RemoveOldMarks::run() {
  for (const MovingDisk& disk : plan_.disks) {
    run_.remove_old_marks(disk);
  }
}

}  // namespace vmferry::migrate
