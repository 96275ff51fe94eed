// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "lib/store/rbd/ceph_client.h"

// Questions to the monitors. The JSON is that of Ceph's OSDMonitor, PGMap and HealthMonitor. Any
// thread may ask.

namespace vmferry {

/// What the monitors answer to a command; nothing: this user may not ask, or they do not know it.
/// Throws Error about `location` when they do not answer.
std::optional<nlohmann::json> ask_monitors(const CephClient& client, const nlohmann::json& command,
                                           const RbdLocation& location);

/// What "osd pool ls detail" tells of one pool; nothing: see ask_monitors.
std::optional<nlohmann::json> ask_about_pool(const CephClient& client, const std::string& pool,
                                             const RbdLocation& location);

/// The element of the list `pools` whose `key` is `pool`; null if there is none.
const nlohmann::json* find_pool(const nlohmann::json& pools, const char* key,
                                const std::string& pool);

/// Is `flag` among `flags`, as in "hashpspool,nearfull"?
bool has_flag(std::string_view flags, std::string_view flag);

}  // namespace vmferry
