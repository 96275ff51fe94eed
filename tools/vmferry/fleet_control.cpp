// SPDX-License-Identifier: LGPL-2.1-or-later
#include <memory>

#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/fleet_options.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

std::function<int(Session&)> add_command(CLI::App& app, FleetCommand command) {
  struct Options {
    FleetPlace place;
    std::string guest;
    bool give_up = false;
  };
  auto options = std::make_shared<Options>();
  add_fleet_place(app, options->place);
  app.add_option("GUEST", options->guest,
                 "Only this guest; GUEST@HOST where several hosts have one of that name");
  if (command == FleetCommand::kCancel) {
    app.add_flag("--give-up", options->give_up,
                 "End the job of a GUEST whose worker is dead and will not come back")
        ->needs("GUEST");
  }
  return [options, command](Session& session) {
    session.making_something(
        "vmferry: interrupted twice; 'vmferry fleet status' shows whether it was done\n");
    const std::string said = command_fleet(
        options->place, options->give_up ? FleetCommand::kGiveUp : command, options->guest);
    print(printable(said) + "\n");
    return 0;
  };
}

}  // namespace

void add_fleet_place(CLI::App& app, FleetPlace& place) {
  app.add_option("NAME", place.name, "Name of the fleet")->required();
  app.add_option("--pool", place.pool, "Pool that has it (default: looked for in all)")
      ->type_name("POOL");
  add_cluster_options(app, place.ceph);
}

std::function<int(Session&)> add_fleet_pause(CLI::App& app) {
  return add_command(app, FleetCommand::kPause);
}

std::function<int(Session&)> add_fleet_resume(CLI::App& app) {
  return add_command(app, FleetCommand::kResume);
}

std::function<int(Session&)> add_fleet_cancel(CLI::App& app) {
  return add_command(app, FleetCommand::kCancel);
}

std::function<int(Session&)> add_fleet_retry(CLI::App& app) {
  return add_command(app, FleetCommand::kRetry);
}

}  // namespace vmferry::cli
