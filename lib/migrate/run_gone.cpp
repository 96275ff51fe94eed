// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/core/shell_word.h"
#include "lib/migrate/run.h"
#include "lib/migrate/steps/steps.h"
#include "lib/store/file/temporary_file.h"
#include "vmferry/error.h"

// Disks that somebody takes from the machine while they move.

namespace vmferry::migrate {

const Machine& Run::present_machine() const {
  const bool there = target_is_known() &&
                     (target_.active() || source_.state() == DomainState::kAbsent) &&
                     !source_.active();
  return there ? target_ : source_;
}

std::string Run::places_of(const MovingDisk& disk) const {
  const auto may_exist = [](const std::function<bool()>& exists) {
    try {
      return exists();
    } catch (const Error&) {
      return true;
    }
  };
  std::string places = disk.original;
  for (const std::string* file : {&disk.overlay, &disk.next_overlay, &disk.bridge}) {
    if (!file->empty() && may_exist([&] { return context_.storage->file_exists(*file); })) {
      places += ", " + *file;
    }
  }
  if (may_exist([&] { return places_.fresh->exists(disk); })) {
    places += ", " + goal(disk);
  }
  return places;
}

std::vector<std::string> Run::unfinished_copies() const {
  std::vector<std::string> commands;
  for (const MovingDisk& disk : plan_.disks) {
    if (!journal_.noted(made(disk)) || journal_.noted(copied(disk))) {
      continue;
    }
    if (pending(CopyFrozen::kName) && pending(CopyOffline::kName)) {
      continue;
    }
    MovingDisk partial = disk;
    partial.image.path = partial_path(disk.image.path);
    partial.volume.image += kPartialSuffix;
    commands.push_back(places_.fresh->removing_command(partial));
  }
  return commands;
}

bool Run::is_gone(const Machine& machine, const Domain& now, const MovingDisk& disk) const {
  const DomainDisk* found = now.find_disk(disk.dev);
  if (!found) {
    return true;
  }
  // Another disk of that name? Only a running machine tells all of its chain.
  if (!machine.active() || machine.place_of(found->image, disk) != Place::kElsewhere) {
    return false;
  }
  const auto is_known = [&](const DiskImage& image) {
    return machine.place_of(image, disk) != Place::kElsewhere ||
           (!image.path.empty() && image.path == disk.image.path);
  };
  return std::none_of(found->backing.begin(), found->backing.end(), is_known);
}

bool Run::drop_gone_disks() {
  const Machine& machine = present_machine();
  if (machine.state() == DomainState::kAbsent) {
    return false;
  }
  const Domain now = machine.definition();
  std::vector<MovingDisk> gone;
  for (const MovingDisk& disk : plan_.disks) {
    if (is_gone(machine, now, disk)) {
      gone.push_back(disk);
    }
  }
  for (const MovingDisk& disk : gone) {
    drop(disk);
  }
  return !gone.empty();
}

void Run::drop(const MovingDisk& disk) {
  const std::string data = where_data_is(disk);
  journal_.drop(disk.dev);
  std::string left;
  const bool unused = !journal_.noted(switched(disk)) && pending(PivotOverlays::kName) &&
                      pending(PivotMirrors::kName) && pending(MigrateMirrored::kName) &&
                      pending(Define::kName);
  if (journal_.noted(made(disk)) && unused) {
    try {
      remove_copy(disk);
      remove_bridge(disk);
    } catch (const Error& error) {
      left = std::string("; its copy could not be removed: ") + error.what() +
             "; later: " + places_.fresh->removing_command(disk);
    }
  }
  context_.observer->warning("disk " + disk.dev + " was taken from the machine meanwhile, or put " +
                             "on another image, and is not moved any further. Its data is in " +
                             data + left);
}

std::string Run::where_data_is(const MovingDisk& disk) {
  if (journal_.noted(committed(disk))) {
    return goal(disk);
  }
  switch (plan_.method) {
    case CopyMethod::kOffline:
      return pending(Define::kName) ? disk.original : goal(disk);
    case CopyMethod::kMirrored:
      return journal_.noted(switched(disk)) || arrived() ? goal(disk) : disk.original;
    case CopyMethod::kStaged:
      return where_staged_data_is(disk);
  }
  return disk.original;
}

std::string Run::where_staged_data_is(const MovingDisk& disk) const {
  if (!journal_.noted(kFrozen)) {
    return disk.original;
  }
  const auto commit = [](const std::string& overlay, const std::string& below) {
    return overlay + ", over " + below + "; this puts it in there: qemu-img commit " +
           shell_word(overlay);
  };
  if (journal_.noted(switched(disk))) {
    return commit(disk.bridge, goal(disk));
  }
  if (pending(PivotOverlays::kName)) {
    return commit(disk.overlay, disk.original);
  }
  return commit(disk.overlay, disk.original) + ". If it was switched already, it is in " +
         commit(disk.bridge, goal(disk));
}

}  // namespace vmferry::migrate
