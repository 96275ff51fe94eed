// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/places.h"

namespace vmferry::migrate {

Places places_for(const MigrateRequest& request, MigrationStorage& storage) {
  if (request.to_files()) {
    return {.fresh = new_files(request, storage), .old = old_volumes(storage)};
  }
  return {.fresh = new_volumes(request, storage), .old = old_files(request, storage)};
}

}  // namespace vmferry::migrate
