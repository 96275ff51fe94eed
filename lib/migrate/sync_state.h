// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/sync_state.h"

// Who changes the state of a warm move holds the journal of its domain. Both throw Error.

namespace vmferry::migrate {

/// Replaces the file as a whole; durable when it returns. Only its owner may read it.
void write_sync_state(const SyncState& state, const std::string& state_dir);
/// None there is no error.
void remove_sync_state(const std::string& domain, const std::string& state_dir);

/// Of which sync the snapshot is; 0: of none.
unsigned round_of(const std::string& mark);

}  // namespace vmferry::migrate
