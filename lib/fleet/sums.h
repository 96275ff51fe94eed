// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <vector>

#include "lib/fleet/host_survey.h"
#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// Adds the sums, and what is wrong with them, to `survey`, whose plan is complete. `hosts` has the
/// guests of that plan. Throws Error.
void add_sums(const std::vector<HostSurvey>& hosts, MigrationStorage& storage, FleetSurvey& survey);

}  // namespace vmferry::fleet
