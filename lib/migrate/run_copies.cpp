// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/migrate/run.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void Run::prove_access() const {
  for (const MovingDisk& disk : plan_.disks) {
    places_.fresh->prove_access(disk);
  }
}

bool Run::still_equal(const MovingDisk& disk) const {
  return places_.fresh->exists(disk) &&
         context_.storage->same(disk.image, disk.volume, context_.stop);
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
  return made && places_.fresh->identity(disk) == *made;
}

void Run::make_new_place(const MovingDisk& disk,
                         const std::function<void(const MigrationStorage::Made&)>& make) {
  try {
    make_ours(made(disk), [&] {
      make([&](const std::string& made) { journal_.record(identity(disk), made); });
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConflict || !places_.fresh->exists(disk)) {
      throw;
    }
    // The checks found none: what a person may do about it is not what a copy would say.
    ErrorParts parts = error.parts();
    parts.hint = goal(disk) + " was made after the checks: " + places_.fresh->if_taken(disk);
    throw Error(parts);
  }
}

void Run::copy_disk(const MovingDisk& disk, std::stop_token stop, CopyBreaks* breaks) {
  if (disk.first_image) {
    return update_disk(disk, stop);
  }
  if (journal_.noted(copied(disk)) && !recovering_) {
    return;
  }
  if (plan_.request.rewrite_only) {
    return require_copied(disk, stop);
  }
  if (journal_.noted(made(disk)) && places_.fresh->exists(disk)) {
    // Is it still true? The old image may have been written to since.
    if (context_.storage->same(disk.image, disk.volume, stop)) {
      return journal_.note(copied(disk));
    }
    remove_copy(disk);
  }
  const bool may_be_begun = journal_.noted(made(disk));
  make_new_place(disk, [&](const MigrationStorage::Made& made) {
    const auto base = plan_.request.bases.find(disk.dev);
    copies_[disk.dev] =
        places_.fresh->copy(disk,
                            {.frozen = plan_.method == CopyMethod::kStaged,
                             .bandwidth = plan_.request.bandwidth,
                             .rate = context_.rate,
                             .resume = may_be_begun && !journal_.noted(kChanged),
                             .base = base == plan_.request.bases.end() ? "" : base->second,
                             .breaks = breaks,
                             .stop = stop},
                            made);
  });
  journal_.note(copied(disk));
}

void Run::catch_up(const MovingDisk& disk, std::stop_token stop, CopyBreaks& breaks) {
  if (!is_ours(disk)) {
    fail(ErrorKind::kConflict, source_.name(), "copy again what was written to " + disk.dev,
         goal(disk) + " is not the volume any more that was copied to");
  }
  context_.storage->copy_changed_in(disk.image, disk.volume,
                                    {.frozen = true,
                                     .bandwidth = plan_.request.bandwidth,
                                     .rate = context_.rate,
                                     .breaks = &breaks,
                                     .stop = stop});
  copies_[disk.dev].digest.clear();
}

void Run::require_copied(const MovingDisk& disk, std::stop_token stop) {
  if (!places_.fresh->exists(disk) || !context_.storage->same(disk.image, disk.volume, stop)) {
    fail(
        ErrorKind::kConflict, source_.name(), "leave " + disk.dev + " for " + goal(disk),
        "it does not hold what " + disk.original + " does: that was written to since it was copied",
        "copy it again, or move the guest without --rewrite-only");
  }
  journal_.note(copied(disk));
}

bool Run::can_resume_copy() const {
  const bool is_staged = under_way(CopyFrozen::kName);
  const bool is_offline = under_way(CopyOffline::kName);
  if (!is_staged && !is_offline && !under_way(CopyMarked::kName)) {
    return false;
  }
  if (journal_.noted(kChanged)) {
    return false;  // what a copy needs to know of it died with the run
  }
  if (is_offline && (source_.state() != DomainState::kShutOff || source_.guest().was_saved())) {
    return false;
  }
  const auto is_as_read = [&](const MovingDisk& disk) {
    return source_.place(disk) == (is_staged ? Place::kOverlay : Place::kOriginal);
  };
  return std::all_of(plan_.disks.begin(), plan_.disks.end(), is_as_read) &&
         std::any_of(plan_.disks.begin(), plan_.disks.end(),
                     [this](const MovingDisk& disk) { return is_partly_copied(disk); });
}

/// What cannot be asked is no reason to go on.
bool Run::is_partly_copied(const MovingDisk& disk) const {
  try {
    return journal_.noted(made(disk)) &&
           (is_ours(disk) || places_.fresh->can_resume(as_read(disk)));
  } catch (const Error&) {
    return false;
  }
}

void Run::remove_copy(const MovingDisk& disk) {
  journal_.forget(copied(disk));
  // Killed before it had a name, it may have been overtaken by somebody's of that name.
  const std::string ours = journal_.recorded(identity(disk)).value_or("");
  const bool removed = places_.fresh->remove(disk, ours);
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
    try_to_remove(places_.fresh->removing_command(disk), [&] {
      if (source_.active()) {
        places_.fresh->close_unused(disk, source_.guest());
      }
      remove_copy(disk);
    });
  }
}

void Run::copy_onto(const MovingDisk& disk, const std::string& file, const std::string& definition,
                    bool shallow) {
  try {
    source_.guest().block_copy(disk.dev, definition,
                               {.shallow = shallow,
                                .bandwidth = bandwidth_now(),
                                .synchronous_writes = plan_.request.synchronous_writes});
  } catch (const Error& error) {
    throw about_new_file(error, file);
  }
}

}  // namespace vmferry::migrate
