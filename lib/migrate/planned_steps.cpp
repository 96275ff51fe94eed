// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/planned_steps.h"

#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

Step retiring_step(const MigrateRequest& request) {
  return planned<UndefineSource>(request.keep_source_definition
                                     ? "switch the autostart of the old definition off"
                                     : "undefine the machine at the source (its XML is kept)");
}

std::vector<Step> leaving_steps(const MigrateRequest& request, const std::string& target_host) {
  return {planned<MigrateShared>("migrate the guest to " + target_host),
          planned<CheckDefinitions>("read both definitions back"), retiring_step(request)};
}

}  // namespace vmferry::migrate
