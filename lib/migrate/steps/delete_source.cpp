// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// The old disks, once the guest is on the new ones. What is not surely ours alone stays, with a
// word: a move is complete without this.

namespace vmferry::migrate {

void DeleteSource::run() {
  journal_.note(kRetired);
  std::vector<Need> needs;
  std::string unknown;
  try {
    unknown = why_all_stay();
    if (unknown.empty()) {
      needs = all_needs(source_.host(), *context_.storage);
    }
  } catch (const Error& error) {
    unknown = std::string("what else needs it could not be found out: ") + error.what();
  }
  for (const MovingDisk& disk : plan_.disks) {
    std::string reason = unknown;
    try {
      if (reason.empty()) {
        reason = why_source_stays(disk, needs);
      }
      if (reason.empty()) {
        delete_source_of(disk);
      }
    } catch (const Error& error) {
      reason = error.what();
    }
    if (!reason.empty() && may_be_left(disk)) {
      context_.observer->warning("the old disk " + disk.original + " stays: " + reason);
    }
  }
}

bool DeleteSource::may_be_left(const MovingDisk& disk) const {
  try {
    return run_.old_disk_exists(disk);
  } catch (const Error&) {
    return true;
  }
}

std::string DeleteSource::why_all_stay() const {
  if (plan_.was_running && !target_.active()) {
    return "the guest does not run on the new ones";
  }
  if (run_.misplaced(target_, DefinitionKind::kPersistent) ||
      (target_.active() && run_.misplaced(target_, DefinitionKind::kLive))) {
    return "a definition does not name the new ones";
  }
  return {};
}

std::string DeleteSource::why_source_stays(const MovingDisk& disk, const std::vector<Need>& needs) {
  std::string thing = disk.volume.display();
  if (!plan_.request.to_files()) {
    const std::optional<FileLook> look = context_.storage->look(disk.image.path);
    if (!look) {
      return {};
    }
    if (std::string reason = why_file_stays(disk.image, *look); !reason.empty()) {
      return reason;
    }
    thing = look->identity;
  }
  return who_needs(thing, needs, [](const Need&) { return false; });
}

void DeleteSource::delete_source_of(const MovingDisk& disk) {
  if (plan_.request.to_files()) {
    context_.storage->remove_volume(disk.volume, std::nullopt);
  } else {  // only the topmost image: what it is backed by may serve others
    context_.storage->remove_image(disk.image);
  }
}

}  // namespace vmferry::migrate
