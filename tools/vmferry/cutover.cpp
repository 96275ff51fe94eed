// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/command.h"
#include "tools/vmferry/sync.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"

namespace vmferry::cli {
namespace {

struct CutoverOptions {
  MigrateOptions move;
  bool live = false;
  bool offline = false;
};

void add_cutover_options(CLI::App& app, CutoverOptions& options) {
  MigrateRequest& request = options.move.request;
  app.add_option("DOMAIN", request.domain, "Name of the virtual machine")->required();
  app.add_option("--connect", request.from, "libvirt of the host that has it (default: virsh's)")
      ->type_name("URI");
  CLI::Option* live =
      app.add_flag("--live", options.live, "The guest goes on (default: if it runs)");
  app.add_flag("--offline", options.offline, "Shut the guest down, and start it on the volumes")
      ->excludes(live);
  app.add_flag("--dry-run", options.move.dry_run, "Print checks and steps, change nothing");
  app.add_flag("--check", options.move.check, "Print the checks only; exit status 1 if one fails")
      ->excludes("--dry-run");
  const char* offline = "Offline";
  app.add_option("--shutdown-timeout", options.move.shutdown_timeout,
                 "How long the guest may take to shut down, in seconds (default: 120)")
      ->type_name("SECONDS")
      ->group(offline);
  app.add_flag("--force-off", request.force_off, "Pull the plug when it does not shut down")
      ->group(offline);
}

void require_running(const MigrateOptions& options, const MigrateContext& context) {
  if (context.source->guest(options.request.domain)->state() == DomainState::kShutOff) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = "domain " + options.request.domain,
                 .action = "cut over --live",
                 .cause = "it is shut off",
                 .hint = "start it, or leave --live out"});
  }
}

bool runs(const MigrateOptions& options, const MigrateContext& context) {
  const DomainState state = context.source->guest(options.request.domain)->state();
  return state == DomainState::kRunning || state == DomainState::kPaused;
}

int cut_over(Session& session, CutoverOptions& options) {
  MigrateOptions& move = options.move;
  if (move.state_dir.empty()) {
    move.state_dir = default_state_dir();
  }
  if (move.recover) {
    complete(move);
    return recover_run(session, move);
  }
  const bool only_looks = move.dry_run || move.check;
  if (!only_looks) {
    recover_dead_sync(session, move);
  }
  move.request.mode = options.offline ? MigrateMode::kOffline : MigrateMode::kAuto;
  if (!take_warm(move)) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "domain " + move.request.domain,
                 .action = "cut over",
                 .cause = "it is in no warm move",
                 .hint = "begin one with vmferry sync, or use vmferry migrate"});
  }
  Mover mover(session, move, "cutover");
  if (options.live) {
    require_running(move, mover.context());
  }
  if (!only_looks && runs(move, mover.context())) {
    MigrateOptions quiet = move;
    quiet.run.quiet = quiet.run.quiet || quiet.run.json;  // one report is enough
    sync_once(mover, quiet);
  }
  const Plan plan = plan_cutover(move.request, mover.context());
  if (const auto status = mover.only_planned(plan)) {
    return *status;
  }
  mover.require_possible(plan);
  mover.run([&] { mover.tell_end(execute_migration(plan, mover.context())); });
  return 0;
}

}  // namespace

std::function<int(Session&)> add_cutover(CLI::App& app) {
  auto options = std::make_shared<CutoverOptions>();
  MigrateOptions& move = options->move;
  add_cutover_options(app, *options);
  add_cluster_options(app, move.ceph);
  add_overlay_options(app, move);
  add_recover_options(app, move);
  add_log_options(app, move);
  add_run_options(app, move.run);
  app.footer(
      "Examples:\n"
      "  vmferry cutover web1\n"
      "  vmferry cutover web1 --offline\n"
      "\nSee vmferry-cutover(1).");
  return [options](Session& session) { return cut_over(session, *options); };
}

}  // namespace vmferry::cli
