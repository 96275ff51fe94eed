// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "vmferry/api.h"
#include "vmferry/migrate.h"
#include "vmferry/sync_state.h"

// A warm move: any number of syncs while the guest runs, and a cutover when somebody says so. Each
// is a Plan for execute_migration(), and a run of it that was killed is recovered from as any
// other. What is known from one run to the next is in vmferry/sync_state.h. As plan_migration()
// each throws Error only where not even a plan can be made.

namespace VMFERRY_API vmferry {

/// What a later run of a warm move is asked for: as its first sync was, but for what `given` names
/// of that which may be otherwise each time (the connection, limits of time and rate, quiescing,
/// overlays, the mode, the host to cut over to and the way there).
MigrateRequest next_request(const SyncState& state, const MigrateRequest& given);

/// The first sync, or the next one, which has next_request(). The guest has to run.
Plan plan_sync(const MigrateRequest& request, const MigrateContext& context);

/// The end of a warm move that is synchronised: the guest goes to its volumes. With
/// MigrateMode::kOffline, or where it is shut off, that is while it is off. Throws kNotFound: the
/// domain is in no warm move. With MigrateRequest::to it goes on to that host. `before_sync`: it is
/// only looked whether it can be done; what a sync before it mends is no reason against it.
Plan plan_cutover(const MigrateRequest& request, const MigrateContext& context,
                  bool before_sync = false);

/// The end of one that is given up: the guest is on its old disks as before, and the volumes stay,
/// or are removed. Throws kNotFound.
Plan plan_sync_stop(const MigrateRequest& request, bool remove_volumes,
                    const MigrateContext& context);

/// What the syncs so far tell of what comes. A guess: it goes on as it did.
struct SyncForecast {
  double bytes_a_second = 0;   ///< that the guest changes
  double sync_seconds = 0;     ///< of the next sync, after as long as there was before the last one
  double cutover_seconds = 0;  ///< of a live cutover at `now`, with its last sync
};
/// `now`: seconds since 1970. Nothing: there was one sync only.
std::optional<SyncForecast> forecast(const SyncState& state, int64_t now);

/// What the run was for that was killed and left its journal. Throws kNotFound: there is none.
RunKind recorded_kind(const std::string& domain, const std::string& state_dir);
/// The same; nothing: there is none.
std::optional<RunKind> unended_kind(const std::string& domain, const std::string& state_dir);

/// Throws kConflict where a run of the domain is at work, or was killed and left its journal: the
/// hint says how to end it. Changes nothing.
void require_ended(const std::string& domain, const std::string& state_dir);

}  // namespace VMFERRY_API vmferry
