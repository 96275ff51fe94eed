// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "lib/core/blocking_call.h"
#include "lib/core/format_bytes.h"
#include "lib/core/shell_word.h"
#include "lib/migrate/steps.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"

// The staged way: freeze the image under an overlay, copy the frozen image with our own copier, and
// let QEMU move only what the guest wrote meanwhile. The chain in the definition tells how far a
// disk is: original, overlay, bridge (an overlay over the volume, or the new file), volume.

namespace vmferry::migrate {
namespace {

/// Left free where overlays grow, whatever the user allowed: the host lives there, too.
constexpr uint64_t kReserve = 256 << 20;

}  // namespace

void Steps::snapshot() {
  size_t original = 0;
  size_t overlaid = 0;
  for (const MovingDisk& disk : plan_.disks) {
    const Place place = require_from(disk, Place::kOriginal);
    original += place == Place::kOriginal;
    overlaid += place == Place::kOverlay;
  }
  // An undo that was killed in the middle of it: as long as it goes on, the image changes.
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) == Place::kOverlay && source_.active()) {
      const std::optional<BlockJob> job = source_.host().block_job(source_.name(), disk.dev);
      if (job && job->kind == BlockJob::Kind::kActiveCommit) {
        source_.abort_job(disk);
      }
    }
  }
  if (original == 0) {
    if (overlaid == plan_.disks.size()) {
      journal_.note(kOverlaid);
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
      remove_overlay(disk);
    }
  }
  for (const MovingDisk& disk : plan_.disks) {
    journal_.forget(returning(disk));
  }
  journal_.note(kFrozen);
  try {
    source_.host().snapshot(source_.name(), definition, plan_.request.quiesce);
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
  journal_.note(kOverlaid);
}

void Steps::remove_overlay(const MovingDisk& disk) {
  require_unnamed(disk.overlay);
  context_.storage->remove_file(disk.overlay, std::nullopt);
}

void Steps::undo_snapshot() {
  for (const MovingDisk& disk : plan_.disks) {
    const Place place = require_from(disk, Place::kOriginal);
    if (place == Place::kOverlay) {
      require_old_image(disk);
      wake();
      source_.commit(
          disk, Place::kOriginal, [&] { warn_of_room(disk.overlay); },
          [&] { journal_.note(returning(disk)); });
    } else if (place != Place::kOriginal) {
      fail(ErrorKind::kConflict, source_.name(), "go back to the old disk",
           disk.dev + " depends on its new disk already", "finish the run: " + recovery());
    }
  }
  put_to_sleep();
}

void Steps::require_old_image(const MovingDisk& disk) const {
  if (plan_.to_files || disk.image.identity.empty()) {
    return;
  }
  const std::optional<FileLook> look = context_.storage->look(disk.image.path);
  if (look && look->identity == disk.image.identity) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "go back to the old disk",
       disk.image.path +
           (look ? " is not the file any more that was moved: it was replaced"
                 : " is not there any more") +
           "; what the guest wrote since is in " + disk.overlay,
       "put the old file back under that name, then: " + recovery("--undo") +
           "; or finish the move: " + recovery("--finish"));
}

void Steps::clean_overlays() {
  if (!journal_.noted(kFrozen)) {
    return;
  }
  for (const MovingDisk& disk : plan_.disks) {
    try_to_remove("rm " + shell_word(disk.overlay), [&] { remove_overlay(disk); });
  }
  if (left_over_.empty()) {
    journal_.forget(kFrozen);
  }
}

void Steps::watch_overlays() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!context_.storage->file_exists(disk.overlay)) {
      continue;
    }
    const uint64_t used = context_.storage->file_allocation(disk.overlay);
    const uint64_t room = context_.storage->free_space(disk.overlay);
    const uint64_t there = used + room - std::min(used + room, kReserve);
    const uint64_t limit = std::min(plan_.request.overlay_max.value_or(there), there);
    if (used >= limit && turned()) {  // only the end of the move makes room
      warn_of_room(disk.overlay);
      continue;
    }
    if (used >= limit) {
      fail(ErrorKind::kIo, source_.name(), "watch the overlay of " + disk.dev,
           fmt::format("the guest wrote {} while its disk was copied, and no more fits in {}",
                       about_bytes(used), disk.overlay),
           "give it more room with --overlay-dir or --overlay-max, or move at a quieter time");
    }
    // At a half and at three quarters.
    const int quarter = static_cast<int>(used / (limit / 4 + 1));
    if (quarter >= 2 && quarter > overlay_warnings_) {
      overlay_warnings_ = quarter;
      context_.observer->warning(
          fmt::format("the overlay of {} holds {} of at most {}; at that the move is undone",
                      disk.dev, about_bytes(used), about_bytes(limit)));
    }
  }
}

void Steps::warn_of_room(const std::string& overlay) {
  // Nothing but the end of the commit makes it smaller: there is no other way back.
  if (warned_of_room_) {
    return;
  }
  try {
    if (context_.storage->free_space(overlay) >= kReserve) {
      return;
    }
  } catch (const Error&) {
    return;  // the commit is worth more than this warning
  }
  warned_of_room_ = true;
  context_.observer->warning("there is hardly room left for " + overlay +
                             ", where the guest still writes: make some, or QEMU pauses the guest "
                             "when there is none");
}

void Steps::copy_frozen() {
  const std::optional<Clock::time_point> deadline = this->deadline();
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kOverlay) != Place::kOverlay) {
      continue;  // it is past this
    }
    // The copier blocks; the overlays grow meanwhile. This scope outlives the call in every case.
    std::stop_source stop;
    BlockingCall copying([this, &disk, token = stop.get_token()] { copy_disk(disk, token); });
    std::exception_ptr trouble;
    while (!copying.wait(context_.patience.watch)) {
      if (stop.stop_requested()) {
        continue;
      }
      try {
        source_.throw_if_stopped();
        watch_overlays();
        if (deadline && source_.now() > *deadline) {
          fail(ErrorKind::kIo, source_.name(), "copy " + disk.dev, "not done within --timeout");
        }
      } catch (...) {
        trouble = std::current_exception();
        stop.request_stop();
      }
    }
    if (trouble) {
      std::rethrow_exception(trouble);
    }
    copying.result();
  }
}

void Steps::require_same_size(const MovingDisk& disk) const {
  const uint64_t now = source_.host().disk_sizes(source_.name(), disk.dev).capacity;
  if (now == disk.size) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "go on with " + disk.dev,
       fmt::format("its size was changed meanwhile, from {} to {}", about_bytes(disk.size),
                   about_bytes(now)),
       "run it again: it takes the new size then");
}

void Steps::stage_overlays() {
  std::vector<const MovingDisk*> staged;
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kOverlay) != Place::kOverlay) {
      continue;
    }
    wake();
    const std::optional<BlockJob> job = source_.our_job(disk);
    if (!job || job->kind != BlockJob::Kind::kCopy) {
      source_.abort_job(disk);
      if (require_from(disk, Place::kOverlay) != Place::kOverlay) {
        continue;  // it pivoted just now
      }
      require_same_size(disk);
      remove_bridge(disk);
      make_ours(bridged(disk), [&] {
        context_.storage->create_overlay(
            disk.bridge, disk.size,
            plan_.to_files ? disk.image.path : qemu_volume_name(plan_.request, disk.volume));
      });
      copy_onto(disk, disk.bridge, bridge_disk(plan_.request, disk), true);
    }
    staged.push_back(&disk);
  }
  if (!staged.empty()) {
    source_.wait_ready(staged, Place::kBridge, "copy what was written meanwhile", deadline(),
                       [this] { watch_overlays(); });
  }
}

void Steps::remove_bridge(const MovingDisk& disk) {
  if (!journal_.noted(bridged(disk))) {
    return;
  }
  require_unnamed(disk.bridge);
  context_.storage->remove_file(disk.bridge, std::nullopt);
  journal_.forget(bridged(disk));
}

void Steps::undo_stage_overlays() {
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) != Place::kOverlay) {
      continue;
    }
    source_.abort_job(disk);
  }
}

void Steps::clean_bridges() {
  for (const MovingDisk& disk : plan_.disks) {
    try_to_remove("rm " + shell_word(disk.bridge), [&] { remove_bridge(disk); });
  }
}

void Steps::pivot_overlays() {
  // A switch while the cluster stands still freezes the guest until it is back.
  if (!plan_.to_files) {
    for (const MovingDisk& disk : plan_.disks) {
      context_.storage->prove_access(disk.volume.pool);
    }
  }
  stage_overlays();  // those whose job a stop of the guest has ended
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kOverlay) == Place::kOverlay) {
      source_.pivot(disk, Place::kBridge, [&] { journal_.note(switched(disk)); });
    }
    journal_.note(switched(disk));
  }
}

void Steps::commit_overlays() {
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kBridge) == Place::kBridge) {
      wake();
      source_.commit(disk, Place::kTarget, [&] { warn_of_room(disk.bridge); });
    }
    journal_.note(committed(disk));
  }
  put_to_sleep();
}

void Steps::remove_overlays() {
  for (const MovingDisk& disk : plan_.disks) {
    remove_overlay(disk);
    remove_bridge(disk);
  }
}

}  // namespace vmferry::migrate
