// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "vmferry/fleet_state.h"

namespace vmferry::cli {

/// One static page, for people, for paper and for phones: it loads nothing and has no scripts.
/// `now`: seconds since 1970.
std::string fleet_html(const FleetStatus& status, int64_t now);
/// The upper part of such a page: figures, failures, and a timeline of the hosts.
std::string fleet_html_summary(const FleetStatus& status, int64_t now);

}  // namespace vmferry::cli
