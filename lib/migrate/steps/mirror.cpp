// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

// QEMU copies each disk to its new place and keeps both equal until the pivot.

namespace vmferry::migrate {

void Mirror::run() {
  const Domain domain = source_.definition(DefinitionKind::kLive);
  std::vector<const MovingDisk*> mirrored;
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.require_from(disk, Place::kOriginal) != Place::kOriginal) {
      continue;
    }
    run_.wake();
    if (!source_.our_job(disk)) {
      // Asked again: a pivot is the other end of a job, and a volume copied onto itself loses
      // writes.
      if (run_.require_from(disk, Place::kOriginal) != Place::kOriginal) {
        continue;
      }
      run_.copy_onto(disk, fresh_.file(disk),
                     rewrite_disk(domain, {.disk = disk.dev, .to = run_.new_place(disk)}), false);
    }
    mirrored.push_back(&disk);
  }
  if (!mirrored.empty()) {
    source_.wait_ready(mirrored, Place::kTarget, "mirror", run_.deadline(), {});
  }
}

void Mirror::undo() {
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) == Place::kOriginal) {
      source_.abort_job(disk);
    }
  }
  run_.put_to_sleep();
}

}  // namespace vmferry::migrate
