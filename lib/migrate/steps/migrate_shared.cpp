// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

namespace vmferry::migrate {

void MigrateShared::run() {
  if (run_.arrived()) {
    return;
  }
  LiveMigration migration = run_.migration_options();
  // A new QEMU opens the volumes: here the live definition, too, can say all of the new disks.
  migration.destination = run_.with_new_disks(source_.definition(DefinitionKind::kMigratable));
  migration.persistent = run_.definition_to_send();
  run_.migrate_guest(migration);
}

}  // namespace vmferry::migrate
