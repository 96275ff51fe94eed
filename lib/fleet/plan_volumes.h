// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// Throws Error where nothing could be done in the pool.
void require_pool(const std::string& pool, MigrationStorage& storage);

/// Adds to the survey which volumes of a plan can be sparsified now, and which cannot.
void check_volumes(const FleetPlan& plan, MigrationStorage& storage, FleetSurvey& survey);

}  // namespace vmferry::fleet
