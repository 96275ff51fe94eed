// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmferry/sync.h"

namespace vmferry::cli {

/// What a sync did, and what is to be expected. `now`: seconds since 1970. `room`: bytes that are
/// free where the overlays grow; nothing: there are none, as the guest is on volumes.
std::string sync_text(const SyncState& state, int64_t now, std::optional<uint64_t> room);
std::string sync_json(const SyncState& state, int64_t now, std::optional<uint64_t> room);

}  // namespace vmferry::cli
