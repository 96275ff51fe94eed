// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <vector>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// Gives each job its wave, as the request says.
void set_waves(std::vector<FleetJob>& jobs, const FleetRequest& request);

}  // namespace vmferry::fleet
