// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "lib/migrate/step.h"
#include "vmferry/migrate.h"

// What plans say of steps, and those that several plans have.

namespace vmferry::migrate {

/// A step of a plan, in words: what it does, and how that is undone.
template <typename Work>
Step planned(const std::string& text, const std::string& undo = {}) {
  return {.name = Work::kName, .text = text, .undo = undo, .no_return = in_words(Work::kNoReturn)};
}

/// What becomes of the definition at the source, once the guest is at home on the other host.
Step retiring_step(const MigrateRequest& request);

/// A guest whose disks are on RBD goes to that host while it runs, and is at home there.
std::vector<Step> leaving_steps(const MigrateRequest& request, const std::string& target_host);

}  // namespace vmferry::migrate
