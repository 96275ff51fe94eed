// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/command.h"

namespace vmferry::cli {
namespace {

constexpr Command kFleetCommands[] = {
    {"plan", "Ask every host, check every guest, and write a plan to read and edit",
     add_fleet_plan},
    {"submit", "Store a plan in its pool, where the workers of all hosts find it",
     add_fleet_submit},
    {"work", "Move the guests of this host, one after the other, as fleets say", add_fleet_work},
    {"status", "How far a fleet is: every guest, sums, and what failed", add_fleet_status},
    {"pause", "Begin no more guests, and stop copies where they can go on", add_fleet_pause},
    {"resume", "Go on after a pause, or after failures", add_fleet_resume},
    {"cancel", "Begin no more guests, and undo what runs", add_fleet_cancel},
    {"retry", "Try again what failed or was cancelled", add_fleet_retry},
    {"report", "Write down what became of every guest, and what is left", add_fleet_report},
    {"clean", "Remove old disks of guests of this host that run on their new ones",
     add_fleet_clean},
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
