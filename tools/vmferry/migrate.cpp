// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/migrate.h"

#include "tools/vmferry/command.h"
#include "tools/vmferry/migrate_options.h"
#include "tools/vmferry/mover.h"
#include "vmferry/sync.h"

namespace vmferry::cli {
namespace {

int migrate(Session& session, MigrateOptions& options) {
  if (options.recover) {
    return recover_run(session, options);
  }
  complete(options);
  require_ended(options.request.domain, options.state_dir);
  options.request.volumes_move = !options.request.to_files();
  Mover mover(session, options, "migrate");
  return mover.carry_out(plan_migration(options.request, mover.context()));
}

}  // namespace

std::function<int(Session&)> add_migrate(CLI::App& app) {
  auto options = std::make_shared<MigrateOptions>();
  add_migrate_options(app, *options);
  app.footer(
      "Examples:\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret --dry-run\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret\n"
      "  vmferry migrate web1 --pool vms --id libvirt --to qemu+ssh://host2/system\n"
      "  vmferry migrate --recover web1\n"
      "\nSee vmferry-migrate(1).");
  return [options, &app](Session& session) {
    require_useful(app, *options);
    return migrate(session, *options);
  };
}

}  // namespace vmferry::cli
