// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <limits>
#include <optional>

#include "lib/core/moment.h"
#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/sync.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"

namespace vmferry::cli {
namespace {

struct CutoverOptions {
  MigrateOptions move;
  bool live = false;
  bool offline = false;
  std::optional<std::string> at;  ///< a time as text; nothing: now
  unsigned max_downtime = 0;      ///< 0: any
};

void add_cutover_options(CLI::App& app, CutoverOptions& options) {
  MigrateRequest& request = options.move.request;
  app.add_option("DOMAIN", request.domain, "Name of the virtual machine")->required();
  app.add_option("--connect", request.from, "libvirt of the host that has it (default: virsh's)")
      ->type_name("URI");
  app.add_option("--to", request.to, "libvirt of the host that shall run it (default: the same)")
      ->type_name("URI");
  CLI::Option* live =
      app.add_flag("--live", options.live, "The guest goes on (default: if it runs)");
  app.add_flag("--offline", options.offline, "Shut the guest down, and start it on the volumes")
      ->excludes(live);
  CLI::Option* dry_run =
      app.add_flag("--dry-run", options.move.dry_run, "Print checks and steps, change nothing");
  CLI::Option* check = app.add_flag("--check", options.move.check,
                                    "Print the checks only; exit status 1 if one fails")
                           ->excludes(dry_run);
  app.add_option("--at", options.at,
                 "Check everything now, and begin then: 02:00, or \"2026-11-29 02:00\"")
      ->type_name("TIME")
      ->excludes(dry_run)
      ->excludes(check);
  app.add_option("--max-downtime", options.max_downtime,
                 "Refuse if it is expected to take longer than that after its last sync")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 1'000'000U));
  app.add_flag("--delete-source", request.delete_source,
               "Remove the old disks once the guest runs on its volumes");
  app.add_flag("--define-secret", request.define_secret,
               "Create or update the guest's Ceph secret from the keyring, on each host that needs "
               "it");
  add_keep_definition_option(app, request);
  app.add_option("--max-pause", request.max_downtime_ms,
                 "With --to: how long the guest may stand still in the end, in milliseconds")
      ->type_name("MS")
      ->group("Live");
  const char* group = "Offline";
  app.add_option("--shutdown-timeout", options.move.shutdown_timeout,
                 "How long the guest may take to shut down, in seconds (default: 120)")
      ->type_name("SECONDS")
      ->group(group);
  app.add_flag("--force-off", request.force_off, "Pull the plug when it does not shut down")
      ->group(group);
}

/// Options that would have no effect.
void refuse_useless_cutover(const CLI::App& app, const CutoverOptions& options) {
  if (options.move.recover) {
    return;  // it knows where its run went
  }
  if (options.move.request.to.empty()) {
    refuse_any(app,
               {"--parallel", "--auto-converge", "--max-pause", "--listen-address",
                "--migration-uri", "--tls", "--keep-source-definition"},
               "is for a cutover to another host", "name that host with --to, or leave it out");
  }
  if (options.offline) {
    refuse_any(app,
               {"--parallel", "--auto-converge", "--max-pause", "--listen-address",
                "--migration-uri", "--tls"},
               "is for a machine that runs on", "leave it out, or --offline");
  }
}

[[noreturn]] void refuse(const MigrateOptions& options, const std::string& cause,
                         const std::string& hint) {
  throw Error({.kind = ErrorKind::kConflict,
               .object = "domain " + options.request.domain,
               .action = "cut over",
               .cause = cause,
               .hint = hint});
}

bool runs(const MigrateOptions& options, const MigrateContext& context) {
  const DomainState state = context.source->guest(options.request.domain)->state();
  return state == DomainState::kRunning || state == DomainState::kPaused;
}

bool only_looks(const CutoverOptions& options) {
  return options.move.dry_run || options.move.check;
}

/// Makes the options those of the warm move.
void take_cutover(CutoverOptions& options) {
  MigrateOptions& move = options.move;
  move.request.mode = options.offline ? MigrateMode::kOffline : MigrateMode::kAuto;
  if (!take_warm(move)) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "domain " + move.request.domain,
                 .action = "cut over",
                 .cause = "it is in no warm move",
                 .hint = "begin one with vmferry sync, or use vmferry migrate"});
  }
}

/// Compares --max-downtime with what is to be expected, `after_sync`: of a last sync that is done,
/// or else as if that ended now.
void require_short(const CutoverOptions& options, bool after_sync, bool runs = true) {
  if (options.max_downtime == 0) {
    return;
  }
  const MigrateOptions& move = options.move;
  const auto state = read_sync_state(move.request.domain, move.state_dir);
  const int64_t now = ::time(nullptr);
  const auto expected = state ? forecast(*state, now) : std::nullopt;
  if (!expected) {
    refuse(move, "nobody can tell how long it takes: there was one sync only",
           "vmferry sync it once more first, or leave --max-downtime out");
  }
  const auto fresh = state->last().frozen_at + static_cast<int64_t>(expected->sync_seconds);
  const double seconds = forecast(*state, after_sync ? now : fresh)->cutover_seconds;
  if (seconds > options.max_downtime) {
    refuse(move,
           fmt::format("it would take about {:.0f} s after its last sync, and may take {} "
                       "(--max-downtime)",
                       std::ceil(seconds), options.max_downtime),
           runs ? "choose a time when the guest writes less, or allow more"
                : "the guest is off already: allow more, or leave --max-downtime out");
  }
}

/// The last sync. From files the guest goes on to the volumes with what it wrote since. From
/// volumes that is copied while it writes to overlays; so there they are repeated until they are
/// short, or do not become shorter.
void sync_last(Session& session, MigrateOptions options) {
  constexpr double kShort = 10;  // seconds
  options.request.to.clear();    // the guest stays where it is as yet
  Mover mover(session, options, "sync");
  double before = std::numeric_limits<double>::max();
  while (true) {
    sync_once(mover, options, !options.run.json);  // one object is enough
    const auto state = read_sync_state(options.request.domain, options.state_dir);
    const bool from_volumes = state && state->disks.front().image.volume;
    const double seconds = state ? state->last().seconds : 0;
    if (!from_volumes || seconds <= kShort || seconds > before * 0.7) {
      return;
    }
    before = seconds;
  }
}

/// All that can be refused now is.
void require_ready(const CutoverOptions& options, const MigrateContext& context) {
  if (options.live && !runs(options.move, context)) {
    refuse(options.move, "it does not run, and --live was asked for",
           "start it, or leave --live out");
  }
  require_short(options, false, runs(options.move, context));
}

/// Before the guest's last sync, which may take long.
void require_way_out(const MigrateOptions& options, const Mover& mover) {
  if (!options.request.to_other_host()) {
    return;
  }
  const Plan plan = plan_cutover(options.request, mover.context(), true);
  if (!plan.possible()) {
    mover.require_possible(plan);
  }
}

/// Ends what was left half done, checks all, and then waits, connected to nothing: what is so by
/// then is asked anew.
void wait_for_time(Session& session, const CutoverOptions& given, int64_t time) {
  CutoverOptions options = given;
  recover_dead_sync(session, options.move);
  take_cutover(options);
  {
    Mover mover(session, options.move, "cutover");
    require_ready(options, mover.context());
    mover.require_possible(plan_cutover(options.move.request, mover.context(), true));
  }
  if (!options.move.run.quiet) {
    say_notice("the cutover of " + printable(options.move.request.domain) + " begins at " +
               local_time(time));
  }
  wait_for_moment(time, session.stop());
}

/// What can be refused is, and then a guest that runs is synchronised, which may take longer than a
/// connection lasts.
void synchronise(Session& session, CutoverOptions& options) {
  {
    Mover mover(session, options.move, "cutover");
    require_ready(options, mover.context());
    if (only_looks(options) || !runs(options.move, mover.context())) {
      return;
    }
    require_way_out(options.move, mover);
  }
  sync_last(session, options.move);
  require_short(options, true);
}

int64_t moment_of(const std::string& text) {
  const int64_t now = ::time(nullptr);
  const auto time = parse_moment(text, now);
  if (!time) {
    refuse_usage("--at '" + text + "' is not a time", "write 02:00, or \"2026-11-29 02:00\"");
  }
  if (*time < now) {
    refuse_usage("--at " + text + " is over (" + local_time(*time) + ")",
                 "name a time to come, or leave --at out");
  }
  return *time;
}

/// What is to be done, after the last sync. Stopped now, that one is what is left.
Plan checked(const MigrateOptions& options, const Mover& mover) {
  try {
    return plan_cutover(options.request, mover.context());
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    const auto state = error.kind() == ErrorKind::kCancelled
                           ? read_sync_state(options.request.domain, options.state_dir)
                           : std::nullopt;
    if (!state) {
      throw;
    }
    parts.hint = fmt::format("the warm move stays at sync {}; go on with vmferry cutover or sync",
                             state->last().number);
    throw Error(parts);
  }
}

int cut_over(Session& session, CutoverOptions& options) {
  MigrateOptions& move = options.move;
  find_state_dir(move);
  if (move.recover) {
    return recover_run(session, move);
  }
  if (options.at) {
    wait_for_time(session, options, moment_of(*options.at));
  }
  recover_dead_sync(session, move);
  take_cutover(options);
  synchronise(session, options);
  Mover mover(session, move, "cutover");
  return mover.carry_out(checked(move, mover));
}

}  // namespace

std::function<int(Session&)> add_cutover(CLI::App& app) {
  auto options = std::make_shared<CutoverOptions>();
  MigrateOptions& move = options->move;
  add_cutover_options(app, *options);
  add_cluster_options(app, move.ceph);
  add_overlay_options(app, move);
  add_leaving_options(app, move.request);
  add_recover_options(app, move);
  app.get_option("--recover")->excludes("--at")->excludes("--dry-run")->excludes("--check");
  add_stay_option(app, move);
  add_log_options(app, move);
  add_run_options(app, move.run);
  app.footer(
      "Examples:\n"
      "  vmferry cutover web1\n"
      "  vmferry cutover web1 --offline --at 02:00\n"
      "  vmferry cutover web1 --to qemu+ssh://host2/system\n"
      "\nSee vmferry-cutover(1).");
  return [options, &app](Session& session) {
    refuse_useless_cutover(app, *options);
    return cut_over(session, *options);
  };
}

}  // namespace vmferry::cli
