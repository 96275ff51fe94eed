// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "vmferry/migrate.h"
#include "vmferry/sync_state.h"

// A rehearsal reads clones of the volumes of a warm move: these cannot go before it has ended.

namespace vmferry::migrate {

/// Where a rehearsal writes down what it makes, and the file that it has locked meanwhile.
std::string rehearsal_record(const std::string& domain, const std::string& state_dir);
std::string rehearsal_lock(const std::string& domain, const std::string& state_dir);

enum class RehearsalTrace {
  kNone,
  kRuns,
  kLeft,  ///< one was killed, and its record is there
};
RehearsalTrace find_rehearsal(const std::string& domain, const std::string& state_dir);

/// What keeps the volumes of a warm move from being removed: failed checks, or none. A cluster that
/// does not answer is such a thing as well.
std::vector<Check> check_may_remove(const SyncState& state, const MigrateContext& context);

/// What its snapshots are used for as yet, which can go all the same: warnings, or none.
std::vector<Check> check_rehearsed(const std::string& domain, const std::string& state_dir);

}  // namespace vmferry::migrate
