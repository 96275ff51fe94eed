// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/fleet/migrate_run.h"

namespace vmferry::fleet {

/// Runs `vmferry sparsify --in-place` for a volume. Throws Error where nothing can be begun.
std::unique_ptr<JobRun> begin_sparsify(const JobOrder& order, const MigrateTerms& terms);

/// The arguments of it.
std::vector<std::string> sparsify_arguments(const JobOrder& order, const MigrateTerms& terms);

}  // namespace vmferry::fleet
