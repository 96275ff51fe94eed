// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void MigrateMirrored::run() {
  if (run_.arrived()) {
    return;
  }
  // From then on such a definition tells that the guest arrived.
  if (run_.waits_at_target() && run_.is_recovery()) {
    run_.fail_divided("migrate");
  }
  if (run_.waits_at_target()) {
    fail(ErrorKind::kConflict, source_.name(), "migrate",
         "the target has a definition of it that names the new volumes already",
         "if it has not run there, undefine it there: " + run_.undefining(plan_.request.to));
  }
  LiveMigration migration = run_.migration_options();
  migration.destination =
      run_.with_new_disks(source_.definition(DefinitionKind::kMigratable), for_live_copy({}));
  migration.persistent = run_.definition_to_send();
  for (const MovingDisk& disk : plan_.disks) {
    migration.copy_disks.push_back(disk.dev);
  }
  run_.migrate_guest(migration);
}

void MigrateMirrored::undo() {
  // libvirt keeps a definition there only of a guest that arrived. Here it runs with its old disks.
  if (run_.target_is_known() && source_.active() && run_.waits_at_target()) {
    run_.fail_divided("undo the migration");
  }
  run_.wait_for_half_made();
  run_.clear_half_made();
  run_.restore_autostart();
}

}  // namespace vmferry::migrate
