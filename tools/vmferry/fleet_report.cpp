// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/fleet_report.h"

#include <fmt/format.h>

#include <ctime>
#include <memory>

#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/fleet_options.h"
#include "tools/vmferry/fleet_report_text.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

struct ReportOptions {
  FleetPlace place;
  std::string output;
  bool force = false;
};

int write_report(Session& session, const ReportOptions& options) {
  const bool html = options.output.ends_with(".html");
  if (!html && !options.output.ends_with(".json")) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = "fleet report",
                 .action = {},
                 .cause = "the name of the file says neither .html nor .json",
                 .hint = "-o report.html for people, -o report.json for programs"});
  }
  const FleetReport found = fleet_report(options.place);
  const int64_t now = std::time(nullptr);
  write_text_file(session, options.output,
                  html ? fleet_report_html(found, now) : fleet_report_json(found, now),
                  options.force);
  const FleetStatus& status = found.status;
  print_report(fmt::format("fleet '{}' is {}: {} of {} guests are done: {}\n",
                           printable(status.name), status.state, status.count(FleetJobState::kDone),
                           status.jobs.size(), printable(options.output)),
               "the report is written");
  return 0;
}

}  // namespace

std::function<int(Session&)> add_fleet_report(CLI::App& app) {
  auto options = std::make_shared<ReportOptions>();
  add_fleet_place(app, options->place);
  CLI::Option* output =
      app.add_option("-o,--output", options->output,
                     "The report's file: FILE.html for people, FILE.json for programs")
          ->type_name("FILE")
          ->required();
  app.add_flag("--force", options->force, "Replace that file if it exists")->needs(output);
  return [options](Session& session) { return write_report(session, *options); };
}

}  // namespace vmferry::cli
