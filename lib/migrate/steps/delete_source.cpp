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
        reason = old_.why_stays(disk, needs);
      }
      if (reason.empty()) {
        old_.remove(disk);
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
    return old_.exists(disk);
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

}  // namespace vmferry::migrate
