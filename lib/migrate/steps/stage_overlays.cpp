// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "lib/core/format_bytes.h"
#include "lib/core/shell_word.h"
#include "lib/domain/targets.h"
#include "lib/migrate/steps/steps.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void StageOverlays::run() {
  std::vector<const MovingDisk*> staged;
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOverlay) != Place::kOverlay) {
      continue;
    }
    run_.wake();
    const std::optional<BlockJob> job = source_.our_job(disk);
    if (!job || job->kind != BlockJob::Kind::kCopy) {
      source_.abort_job(disk);
      if (run_.require_from(disk, Place::kOverlay) != Place::kOverlay) {
        continue;  // it pivoted just now
      }
      require_same_size(disk);
      run_.remove_bridge(disk);
      run_.make_ours(bridged(disk), [&] {
        context_.storage->create_overlay(disk.bridge, disk.size, fresh_.name_in_headers(disk),
                                         image_format(run_.new_place(disk)));
      });
      run_.copy_onto(disk, disk.bridge, bridge_disk(plan_.request, disk), true);
    }
    staged.push_back(&disk);
  }
  if (!staged.empty()) {
    source_.wait_ready(staged, Place::kBridge, "copy what was written meanwhile", run_.deadline(),
                       [this] { run_.watch_overlays(); });
  }
}

void StageOverlays::undo() {
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) != Place::kOverlay) {
      continue;
    }
    source_.abort_job(disk);
  }
  if (plan_.kind == RunKind::kCutover) {
    run_.put_to_sleep();  // it stays on its overlay: no step before this one has it
  }
}

void StageOverlays::clean() {
  for (const MovingDisk& disk : plan_.disks) {
    run_.try_to_remove("rm " + shell_word(disk.bridge), [&] { run_.remove_bridge(disk); });
  }
}

void StageOverlays::require_same_size(const MovingDisk& disk) const {
  const uint64_t now = source_.guest().disk_sizes(disk.dev).capacity;
  if (now == disk.size) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "go on with " + disk.dev,
       fmt::format("its size was changed meanwhile, from {} to {}", about_bytes(disk.size),
                   about_bytes(now)),
       "run it again: it takes the new size then");
}

}  // namespace vmferry::migrate
