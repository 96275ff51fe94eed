// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/command.h"

namespace vmferry::cli {
namespace {

constexpr Command kFleetCommands[] = {
    {"plan", "Ask every host, check every guest, and write a plan to read and edit",
     add_fleet_plan},
};

}  // namespace

std::function<int(Session&)> add_fleet(CLI::App& app) {
  const auto chosen = std::make_shared<std::function<int(Session&)>>();
  app.require_subcommand(1);
  app.footer("'vmferry fleet COMMAND --help' tells more of one command; see vmferry-fleet(1).");
  for (const Command& each : kFleetCommands) {
    CLI::App* command = app.add_subcommand(each.name, each.summary);
    command->callback([chosen, run = each.add(*command)] { *chosen = run; });
  }
  return [chosen](Session& session) { return (*chosen)(session); };
}

}  // namespace vmferry::cli
