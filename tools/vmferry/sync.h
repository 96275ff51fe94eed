// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "tools/vmferry/migrate_options.h"
#include "tools/vmferry/mover.h"

namespace vmferry::cli {

/// Makes the options those of the next run of the warm move that the domain is in. False: it is in
/// none.
bool take_warm(MigrateOptions& options);

/// Ends a sync that was killed, if one was; throws kConflict if it was another run, or if nothing
/// may be changed. `options` are as given.
void recover_dead_sync(Session& session, const MigrateOptions& options);

/// Plans a sync and does it, or prints the plan if only that is wanted; `reports`: prints what came
/// of it. Answers the exit status.
int sync_once(Mover& mover, const MigrateOptions& options, bool reports = true);

}  // namespace vmferry::cli
