// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <memory>

#include "lib/core/counted.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"
#include "vmferry/fleet_state.h"

namespace vmferry::cli {
namespace {

struct SubmitOptions {
  std::string plan;
  std::string name;
  CephOptions ceph;
  bool replace = false;
};

int submit(Session& session, const SubmitOptions& options) {
  const FleetPlan plan = read_plan(read_text_file(options.plan, kMaxPlanBytes), options.plan);
  session.making_something(
      "vmferry: interrupted twice; 'vmferry fleet status' shows whether it was done\n");
  submit_fleet(plan, options.name, options.ceph, options.replace);
  print(fmt::format("fleet '{}' is submitted to pool '{}': {}\n", options.name, plan.pool,
                    counted(plan.jobs.size(),
                            plan.jobs.front().task == FleetTask::kSparsify ? "volume" : "guest")));
  return 0;
}

}  // namespace

std::function<int(Session&)> add_fleet_submit(CLI::App& app) {
  auto options = std::make_shared<SubmitOptions>();
  app.add_option("PLAN", options->plan, "File with the plan, as 'vmferry fleet plan' writes it")
      ->required();
  app.add_option("--name", options->name, "Name of the fleet")->type_name("NAME")->required();
  app.add_flag("--replace", options->replace,
               "Put it in the place of one of that name that has ended");
  add_cluster_options(app, options->ceph);
  return [options](Session& session) { return submit(session, *options); };
}

}  // namespace vmferry::cli
