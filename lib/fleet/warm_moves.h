// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// Is the guest of a plan with one job in its warm move, which has been synchronised? What is known
/// of that is in the state directory of its host. Throws Error; kConflict: it is in another one,
/// which is a person's. Any thread.
bool in_warm_move(const FleetPlan& plan, const std::string& state_dir);

}  // namespace vmferry::fleet
