// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <utility>

#include "tools/vmferry/command.h"
#include "tools/vmferry/fleet_html.h"
#include "tools/vmferry/fleet_options.h"
#include "tools/vmferry/fleet_text.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"

namespace vmferry::cli {
namespace {

struct StatusOptions {
  FleetPlace place;
  bool json = false;
  bool watch = false;
  std::string prometheus;
  std::string html;
};

constexpr std::chrono::seconds kWatchEvery{2};
constexpr const char* kClearScreen = "\033[H\033[2J";

void show(Session& session, const StatusOptions& options, const FleetStatus& status) {
  if (!options.prometheus.empty()) {
    write_text_file(session, options.prometheus, fleet_prometheus(status), true);
  }
  if (!options.html.empty()) {
    write_text_file(session, options.html, fleet_html(status, std::time(nullptr)), true);
  }
  const bool to_files = !options.prometheus.empty() || !options.html.empty();
  if (options.json) {
    print(fleet_json(status));
  } else if (options.watch && !to_files && is_terminal()) {
    print(kClearScreen + fleet_text(status, true));
  } else if (!to_files) {
    print(fleet_text(status, options.watch));
  }
}

int status(Session& session, const StatusOptions& options) {
  if (!options.watch) {
    show(session, options, fleet_status(options.place));
    return 0;
  }
  std::string said;  // once, until it answers again
  watch_fleet(
      options.place, kWatchEvery,
      [&](const FleetStatus& now) {
        said.clear();
        show(session, options, now);
      },
      [&](const Error& error) {
        if (std::exchange(said, error.what()) != error.what()) {
          say_line(fmt::format("vmferry: {}; trying again", error.what()));
        }
      },
      session.stop());
  return 0;
}

}  // namespace

std::function<int(Session&)> add_fleet_status(CLI::App& app) {
  auto options = std::make_shared<StatusOptions>();
  add_fleet_place(app, options->place);
  app.add_flag("--watch", options->watch, "Show it again every two seconds, until it has ended");
  app.add_flag("--json", options->json, "Print it as one JSON object on standard output");
  app.add_option("--prometheus", options->prometheus,
                 "Write FILE for the textfile collector of node_exporter, and print nothing")
      ->type_name("FILE");
  app.add_option("--html", options->html, "Write FILE, a page to read or send, and print nothing")
      ->type_name("FILE");
  return [options](Session& session) { return status(session, *options); };
}

}  // namespace vmferry::cli
