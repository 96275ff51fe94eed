// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void DefineSecret::run() {
  const std::string key = context_.storage->user_key();
  const bool here = plan_.method == CopyMethod::kStaged || !plan_.request.to_other_host();
  for (const Machine* machine : {&source_, &target_}) {
    if (machine == &source_ && !here) {
      continue;
    }
    const std::optional<FoundSecret> found = machine->host().find_secret(plan_.request.secret);
    if (found && found->key == key) {
      continue;
    }
    machine->host().define_secret(plan_.request.secret, key);
  }
}

}  // namespace vmferry::migrate
