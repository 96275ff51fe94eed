// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/warm_moves.h"

#include <strings.h>

#include <map>
#include <optional>

#include "lib/core/shell_word.h"
#include "vmferry/error.h"
#include "vmferry/sync_state.h"

namespace vmferry::fleet {

bool in_warm_move(const FleetPlan& plan, const std::string& state_dir) {
  const FleetJob& job = plan.jobs.front();
  const std::optional<SyncState> state = read_sync_state(job.name, state_dir);
  if (!state) {
    return false;
  }
  std::map<std::string, VolumeName> theirs;
  for (const SyncedDisk& disk : state->disks) {
    theirs[disk.dev] = disk.volume;
  }
  const bool is_same_guest = ::strcasecmp(state->uuid.c_str(), job.uuid.c_str()) == 0;
  if (!is_same_guest || theirs != migrate_request(plan, job).disks) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = "guest " + job.name,
                 .action = "begin its move",
                 .cause = is_same_guest ? "it is in a warm move of other disks or to other volumes"
                                        : "another guest of that name was in a warm move here",
                 .hint = "end that one: vmferry cutover " + shell_word(job.name) +
                         ", or vmferry sync --stop " + shell_word(job.name)});
  }
  return true;
}

}  // namespace vmferry::fleet
