// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <chrono>

#include "lib/core/shell_word.h"
#include "lib/migrate/steps/rungs.h"
#include "lib/migrate/steps/steps.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"

// The staged way begins here: freeze the image under an overlay, copy the frozen image with our own
// copier, and let QEMU move only what the guest wrote meanwhile. The chain in the definition tells
// how far a disk is: original, overlay, bridge (an overlay over the volume, or the new file),
// volume.

namespace vmferry::migrate {

void Snapshot::run() {
  if (journal_.noted(kMarkedOld)) {
    return;  // it was frozen for that only
  }
  size_t original = 0;
  size_t overlaid = 0;
  for (const MovingDisk& disk : plan_.disks) {
    const Place place = run_.require_from(disk, Place::kOriginal);
    original += place == Place::kOriginal;
    overlaid += place == Place::kOverlay;
  }
  // An undo that was killed in the middle of it: as long as it goes on, the image changes.
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) == Place::kOverlay && source_.active()) {
      const std::optional<BlockJob> job = source_.guest().block_job(disk.dev);
      if (job && job->kind == BlockJob::Kind::kActiveCommit) {
        source_.abort_job(disk);
      }
    }
  }
  if (original == 0) {
    if (overlaid == plan_.disks.size()) {
      note_frozen();
    }
    for (const MovingDisk& disk : plan_.disks) {
      journal_.forget(returning(disk));
    }
    return;
  }
  if (original != plan_.disks.size()) {
    fail(ErrorKind::kConflict, source_.name(), "freeze the disks",
         "some disk is as it was before, where the guest may have written since");
  }
  if (!source_.active()) {
    fail(ErrorKind::kConflict, source_.name(), "freeze the disks", "the domain does not run");
  }
  const std::string definition =
      snapshot_definition(plan_, source_.definition(DefinitionKind::kLive));
  if (journal_.noted(kFrozen)) {  // an undo was killed before it came to this
    for (const MovingDisk& disk : plan_.disks) {
      run_.remove_overlay(disk);
    }
  }
  for (const MovingDisk& disk : plan_.disks) {
    journal_.forget(returning(disk));
  }
  journal_.note(kFrozen);
  try {
    source_.guest().snapshot(definition, plan_.request.quiesce);
  } catch (const Error& error) {
    // libvirt takes away what it made of a snapshot that failed; what else is there is somebody's.
    if (source_.place(plan_.disks.front()) == Place::kOriginal) {
      journal_.forget(kFrozen);
    }
    throw about_new_file(error, plan_.disks.front().overlay);
  }
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) != Place::kOverlay) {
      fail(ErrorKind::kIo, source_.name(), "freeze the disks",
           "libvirt took the snapshot, but " + disk.dev + " is not on its overlay");
    }
  }
  note_frozen();
}

void Snapshot::note_frozen() {
  journal_.note(kOverlaid);
  if (plan_.kind == RunKind::kSync && !journal_.recorded(kFrozenAt)) {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    journal_.record(kFrozenAt, fmt::format("{:.3f}", now.count()));
  }
}

void Snapshot::undo() {
  journal_.unrecord(kFrozenAt);
  journal_.unrecord(kFirstFrozenAt);
  Rungs(run_).settle();
  for (const MovingDisk& disk : plan_.disks) {
    const Place place = run_.require_from(disk, Place::kOriginal);
    if (place == Place::kOverlay) {
      require_old_image(disk);
      run_.wake();
      source_.commit(
          disk, Place::kOriginal, [&] { run_.warn_of_room(disk.overlay); },
          [&] { journal_.note(returning(disk)); });
    } else if (place != Place::kOriginal) {
      fail(ErrorKind::kConflict, source_.name(), "go back to the old disk",
           disk.dev + " depends on its new disk already", "finish the run: " + run_.recovery());
    }
  }
  run_.put_to_sleep();
}

void Snapshot::clean() {
  if (!journal_.noted(kFrozen)) {
    return;
  }
  for (const MovingDisk& disk : plan_.disks) {
    run_.try_to_remove("rm " + shell_word(disk.overlay), [&] { run_.remove_overlay(disk); });
  }
  if (run_.left_over().empty()) {
    journal_.forget(kFrozen);
  }
}

void Snapshot::require_old_image(const MovingDisk& disk) const {
  const std::string changed = old_.why_changed(disk);
  if (changed.empty()) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "go back to the old disk",
       changed + "; what the guest wrote since is in " + disk.overlay,
       "put the old file back under that name, then: " + run_.recovery("--undo") +
           "; or finish the move: " + run_.recovery("--finish"));
}

}  // namespace vmferry::migrate
