// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps.h"
#include "vmferry/error.h"

// Mirrors on one host: QEMU copies each disk to its new place and keeps both equal until the pivot.

namespace vmferry::migrate {

void Steps::create_volumes() {
  for (const MovingDisk& disk : plan_.disks) {
    if (journal_.noted(made(disk)) && is_ours(disk)) {
      continue;
    }
    make_new_place(disk, [&](const MigrationStorage::Made& made) {
      if (plan_.to_files) {
        context_.storage->create_raw_file(disk.image.path, disk.size, made);
      } else {
        context_.storage->create_volume(disk.volume, disk.size, made);
      }
    });
  }
}

void Steps::copy_onto(const MovingDisk& disk, const std::string& file,
                      const std::string& definition, bool shallow) {
  try {
    source_.host().block_copy(source_.name(), disk.dev, definition,
                              {.shallow = shallow,
                               .bandwidth = plan_.request.bandwidth,
                               .synchronous_writes = plan_.request.synchronous_writes});
  } catch (const Error& error) {
    throw about_new_file(error, file);
  }
}

void Steps::mirror() {
  const Domain domain = source_.definition(DefinitionKind::kLive);
  std::vector<const MovingDisk*> mirrored;
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kOriginal) != Place::kOriginal) {
      continue;
    }
    wake();
    if (!source_.our_job(disk)) {
      // Asked again: a pivot is the other end of a job, and a volume copied onto itself loses
      // writes.
      if (require_from(disk, Place::kOriginal) != Place::kOriginal) {
        continue;
      }
      copy_onto(disk, plan_.to_files ? disk.image.path : "",
                rewrite_disk(domain, {.disk = disk.dev, .to = new_place(disk)}), false);
    }
    mirrored.push_back(&disk);
  }
  if (!mirrored.empty()) {
    source_.wait_ready(mirrored, Place::kTarget, "mirror", deadline(), {});
  }
}

void Steps::undo_mirror() {
  for (const MovingDisk& disk : plan_.disks) {
    if (source_.place(disk) == Place::kOriginal) {
      source_.abort_job(disk);
    }
  }
  put_to_sleep();
}

void Steps::pivot_mirrors() {
  if (!plan_.to_files) {
    for (const MovingDisk& disk : plan_.disks) {
      context_.storage->prove_access(disk.volume.pool);
    }
  }
  mirror();  // those whose job a stop of the guest has ended
  for (const MovingDisk& disk : plan_.disks) {
    if (require_from(disk, Place::kOriginal) == Place::kOriginal) {
      source_.pivot(disk, Place::kTarget, [&] { journal_.note(switched(disk)); });
    }
    journal_.note(switched(disk));
  }
  put_to_sleep();
}

void Steps::sparsify() {
  for (const MovingDisk& disk : plan_.disks) {
    try {
      context_.storage->sparsify_volume(disk.volume);
    } catch (const Error& error) {
      // The data is safe where it is; only room is lost.
      context_.observer->warning(std::string(error.what()) + "; later: rbd sparsify " +
                                 disk.volume.ceph_name());
    }
  }
}

}  // namespace vmferry::migrate
