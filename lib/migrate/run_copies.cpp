// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/shell_word.h"
#include "lib/migrate/run.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void Run::prove_access() const {
  if (plan_.request.to_files()) {
    return;
  }
  for (const MovingDisk& disk : plan_.disks) {
    context_.storage->prove_access(disk.volume.pool);
  }
}

bool Run::new_place_exists(const MovingDisk& disk) const {
  return plan_.request.to_files() ? context_.storage->file_exists(disk.image.path)
                                  : context_.storage->volume(disk.volume).has_value();
}

bool Run::old_disk_exists(const MovingDisk& disk) const {
  if (plan_.request.to_files()) {
    return context_.storage->volume(disk.volume).has_value();
  }
  // A mirror's source may be on a host whose files cannot be looked at.
  return !plan_.request.delete_source || context_.storage->file_exists(disk.image.path);
}

bool Run::still_equal(const MovingDisk& disk) const {
  return new_place_exists(disk) && context_.storage->same(disk.image, disk.volume, context_.stop);
}

void Run::make_ours(const std::string& note, const std::function<void()>& make) {
  journal_.note(note);
  try {
    make();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kConflict) {
      journal_.forget(note);
    }
    throw;
  }
}

bool Run::is_ours(const MovingDisk& disk) const {
  const std::optional<std::string> made = journal_.recorded(identity(disk));
  if (!made) {
    return false;
  }
  if (!plan_.request.to_files()) {
    return context_.storage->identity(disk.volume) == *made;
  }
  const std::optional<FileLook> look = context_.storage->look(disk.image.path);
  return look && look->identity == *made;
}

void Run::make_new_place(const MovingDisk& disk,
                         const std::function<void(const MigrationStorage::Made&)>& make) {
  try {
    make_ours(made(disk), [&] {
      make([&](const std::string& made) { journal_.record(identity(disk), made); });
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConflict || !new_place_exists(disk)) {
      throw;
    }
    // The checks found none: what a person may do about it is not what a copy would say.
    ErrorParts parts = error.parts();
    parts.hint = goal(disk) + " was made after the checks: ";
    parts.hint += plan_.request.to_files()
                      ? "move it away, or name another directory with --to-dir"
                      : "remove it (rbd rm " + disk.volume.ceph_name() +
                            "), or name another with --disk " + disk.dev + "=rbd:POOL/IMAGE";
    throw Error(parts);
  }
}

void Run::copy_disk(const MovingDisk& disk, std::stop_token stop) {
  if (journal_.noted(copied(disk)) && !recovering_) {
    return;
  }
  if (journal_.noted(made(disk)) && new_place_exists(disk)) {
    // Is it still true? The old image may have been written to since.
    if (context_.storage->same(disk.image, disk.volume, stop)) {
      return journal_.note(copied(disk));
    }
    remove_copy(disk);
  }
  make_new_place(disk, [&](const MigrationStorage::Made& made) {
    if (plan_.request.to_files()) {
      context_.storage->copy_out(disk.volume, plan_.method == CopyMethod::kStaged, disk.image.path,
                                 plan_.request.bandwidth, stop, made);
    } else {
      context_.storage->copy_in(disk.image, disk.volume, plan_.request.bandwidth, stop, made);
    }
  });
  journal_.note(copied(disk));
}

void Run::remove_copy(const MovingDisk& disk) {
  journal_.forget(copied(disk));
  // Killed before it had a name, it may have been overtaken by somebody's of that name.
  const std::string ours = journal_.recorded(identity(disk)).value_or("");
  const bool removed = plan_.request.to_files()
                           ? context_.storage->remove_file(disk.image.path, ours)
                           : context_.storage->remove_volume(disk.volume, ours);
  journal_.forget(made(disk));
  if (!removed) {
    context_.observer->warning(goal(disk) + " stays: it is not what this run made");
  }
}

void Run::clean_copies() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!journal_.noted(made(disk))) {
      continue;
    }
    // What may hold the newest data is not among what is named for removal.
    require_before_copy(disk);
    try_to_remove(removing_command(disk), [&] {
      if (!plan_.request.to_files() && source_.active()) {
        close_unused(disk);
      }
      remove_copy(disk);
    });
  }
}

void Run::close_unused(const MovingDisk& disk) const {
  try {
    source_.guest().close_unused_volume(disk.volume.pool, disk.volume.image);
  } catch (const Error&) {
    // If it is open there, its removal tells.
  }
}

std::string Run::removing_command(const MovingDisk& disk) const {
  return plan_.request.to_files() ? "rm " + shell_word(disk.image.path)
                                  : "rbd rm " + disk.volume.ceph_name();
}

void Run::copy_onto(const MovingDisk& disk, const std::string& file, const std::string& definition,
                    bool shallow) {
  try {
    source_.guest().block_copy(disk.dev, definition,
                               {.shallow = shallow,
                                .bandwidth = plan_.request.bandwidth,
                                .synchronous_writes = plan_.request.synchronous_writes});
  } catch (const Error& error) {
    throw about_new_file(error, file);
  }
}

}  // namespace vmferry::migrate
