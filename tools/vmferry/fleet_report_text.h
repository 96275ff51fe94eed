// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "vmferry/fleet_report.h"

namespace vmferry::cli {

/// The report of a fleet as one JSON object. `now`: seconds since 1970.
std::string fleet_report_json(const FleetReport& report, int64_t now);
/// The same as a page for people, for paper and for phones: it loads nothing and has no scripts.
std::string fleet_report_html(const FleetReport& report, int64_t now);

}  // namespace vmferry::cli
