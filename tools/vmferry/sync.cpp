// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/sync.h"

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/sync_report.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"

namespace vmferry::cli {
namespace {

struct SyncOptions {
  MigrateOptions move;
  bool stop = false;
  bool remove_volumes = false;
  std::optional<std::string> every;  ///< a time as text: "1h"
};

void add_sync_way_options(CLI::App& app, MigrateOptions& options) {
  MigrateRequest& request = options.request;
  app.add_option("DOMAIN", request.domain, "Name of the virtual machine")->required();
  app.add_option("--connect", request.from, "libvirt of the host that has it (default: virsh's)")
      ->type_name("URI");
  app.add_option("--uuid", request.uuid, "Only if it has this UUID")->type_name("UUID");
  app.add_option("--pool", request.pool, "Pool for the volumes; for the first sync")
      ->type_name("POOL");
  app.add_option("--disk", options.disks,
                 "Move only this disk, to this volume: vda=rbd:POOL/IMAGE; may be repeated")
      ->type_name("DISK=VOLUME")
      ->allow_extra_args(false);
  app.add_option("--name-template", request.name_template,
                 "Names of the volumes, from {domain}, {uuid} and {dev} (default: {domain}-{dev})")
      ->type_name("TEMPLATE");
  app.add_flag("--snapshots", request.snapshots,
               "Of a guest on RBD: the snapshots of its volumes go along");
  add_allow_option(app, request.allow_files);
  app.add_flag("--dry-run", options.dry_run, "Print checks and steps, change nothing");
  app.add_flag("--check", options.check, "Print the checks only; exit status 1 if one fails")
      ->excludes("--dry-run");
}

/// "90", "15m", "1h", "1d".
std::chrono::seconds parse_interval(const std::string& text) {
  static const std::map<char, int64_t> kUnits = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  const bool has_unit = !text.empty() && kUnits.contains(text.back());
  const std::string digits = has_unit ? text.substr(0, text.size() - 1) : text;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0) {
    refuse_usage("--every '" + text + "' is not a time", "a number with s, m, h or d: --every 1h");
  }
  return std::chrono::seconds(number * (has_unit ? kUnits.at(text.back()) : 1));
}

/// Throws kCancelled when stopped.
void wait_until(std::chrono::steady_clock::time_point time, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_until(lock, stop, time, [] { return false; });
  if (stop.stop_requested()) {
    throw cancelled_error();
  }
}

template <typename T>
void refuse_other(const char* option, const T& given, const T& first) {
  if (given != T() && given != first) {
    refuse_usage(std::string(option) + " is not what the warm move began with",
                 "leave it out, or give the warm move up first: vmferry sync --stop");
  }
}

/// The volumes are there: what says how they are made is of use the first time only.
void refuse_other_volumes(const MigrateOptions& options, const SyncState& state) {
  const MigrateRequest& first = state.request;
  refuse_other("--pool", options.request.pool, first.pool);
  if (options.request.name_template != MigrateRequest().name_template) {
    refuse_other("--name-template", options.request.name_template, first.name_template);
  }
  refuse_other("--snapshots", options.request.snapshots, first.snapshots);
  refuse_other("--to-ceph-conf", options.to_ceph_conf, first.ceph_conf);
  refuse_other("--to-id", options.to_id, first.user);
  refuse_other("--object-size", options.layout.object_size, first.layout.object_size);
  refuse_other("--stripe-unit", options.layout.stripe_unit, first.layout.stripe_unit);
  refuse_other("--stripe-count", options.layout.stripe_count, first.layout.stripe_count);
  refuse_other("--data-pool", options.layout.data_pool, first.layout.data_pool);
  refuse_other("--features", options.layout.features, first.layout.features);
  std::map<std::string, VolumeName> volumes;
  for (const SyncedDisk& disk : state.disks) {
    volumes[disk.dev] = disk.volume;
  }
  for (const auto& [dev, volume] : options.request.disks) {
    if (!volumes.contains(dev) || volumes.at(dev) != volume) {
      refuse_usage("--disk " + dev + "=" + printable(volume.display()) +
                       " is not what the warm move began with",
                   "leave it out, or give the warm move up first: vmferry sync --stop");
    }
  }
}

int stop_sync(Session& session, SyncOptions& options) {
  if (!take_warm(options.move)) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "domain " + options.move.request.domain,
                 .action = "give its warm move up",
                 .cause = "it is in none",
                 .hint = "see --state-dir"});
  }
  Mover mover(session, options.move, "sync --stop");
  const Plan plan = plan_sync_stop(options.move.request, options.remove_volumes, mover.context());
  const int status = mover.carry_out(plan);
  const bool is_done = !options.move.dry_run && !options.move.check;
  if (is_done && !options.remove_volumes && !options.move.run.quiet) {
    for (const MovingDisk& disk : plan.disks) {
      say_line(printable(disk.volume.display()) + " stays, as of sync " +
               std::to_string(plan.round));
    }
  }
  return status;
}

int sync(Session& session, SyncOptions& options) {
  MigrateOptions& move = options.move;
  find_state_dir(move);
  if (move.recover) {
    return recover_run(session, move);
  }
  recover_dead_sync(session, move);
  if (options.stop) {
    return stop_sync(session, options);
  }
  const std::chrono::seconds every =
      options.every ? parse_interval(*options.every) : std::chrono::seconds(0);
  const MigrateOptions given = move;
  while (true) {
    const auto began = std::chrono::steady_clock::now();
    move = given;
    if (!take_warm(move)) {
      complete(move);
      move.request.volumes_move = true;
    }
    {
      Mover mover(session, move, "sync");
      const int status = sync_once(mover, move);
      if (every.count() == 0 || move.dry_run || move.check) {
        return status;
      }
    }
    wait_until(began + every, session.stop());
  }
}

}  // namespace

bool take_warm(MigrateOptions& options) {
  const std::optional<SyncState> state = read_sync_state(options.request.domain, options.state_dir);
  if (!state) {
    return false;
  }
  options.recover = true;  // what was asked for first counts
  complete(options);
  options.recover = false;
  refuse_other_volumes(options, *state);
  options.request = next_request(*state, options.request);
  take_recorded_cluster(options);
  return true;
}

void recover_dead_sync(Session& session, const MigrateOptions& options) {
  const std::string& domain = options.request.domain;
  const std::optional<RunKind> kind = unended_kind(domain, options.state_dir);
  if (!kind) {
    return;
  }
  // To go on with another run is for a person to say; and what only looks ends nothing.
  if (*kind != RunKind::kSync || options.dry_run || options.check) {
    return require_ended(domain, options.state_dir);
  }
  say_notice("a sync that did not end is recovered first");
  MigrateOptions recovery = options;
  recovery.recover = true;
  recovery.run.json = false;
  recovery.run.quiet = true;
  recovery.request.to.clear();  // a sync goes nowhere
  recover_run(session, recovery);
}

int sync_once(Mover& mover, const MigrateOptions& options, bool reports) {
  const Plan plan = plan_sync(options.request, mover.context());
  if (const auto status = mover.only_planned(plan)) {
    return *status;
  }
  mover.require_possible(plan);
  mover.run([&] { execute_migration(plan, mover.context()); });
  const auto state = read_sync_state(options.request.domain, options.state_dir);
  if (!state || options.run.quiet || !reports) {
    return 0;
  }
  const int64_t now = ::time(nullptr);
  const std::string& overlay = state->disks.front().overlay;
  const auto room =
      overlay.empty() ? std::nullopt : std::optional(mover.context().storage->free_space(overlay));
  print_report(
      options.run.json ? sync_json(*state, now, room) + "\n" : sync_text(*state, now, room),
      "the sync is complete");
  return 0;
}

std::function<int(Session&)> add_sync(CLI::App& app) {
  auto options = std::make_shared<SyncOptions>();
  MigrateOptions& move = options->move;
  add_sync_way_options(app, move);
  add_guest_options(app, move);
  add_cluster_options(app, move.ceph);
  add_other_cluster_options(app, move);
  add_layout_options(app, move.layout);
  add_overlay_options(app, move);
  CLI::Option* every =
      app.add_option("--every", options->every,
                     "Synchronise again and again, each time so long after the last one began: 1h")
          ->type_name("TIME");
  CLI::Option* stop =
      app.add_flag("--stop", options->stop,
                   "Give the warm move up: the guest goes back to its old disks, and the volumes "
                   "stay");
  stop->group("End")->excludes(every);
  app.add_flag("--remove-volumes", options->remove_volumes, "With --stop: remove the volumes")
      ->group("End")
      ->needs(stop);
  add_recover_options(app, move);
  app.get_option("--recover")->excludes(every)->excludes("--dry-run")->excludes("--check");
  add_log_options(app, move);
  add_run_options(app, move.run);
  app.footer(
      "Examples:\n"
      "  vmferry sync web1 --pool vms --id libvirt --define-secret\n"
      "  vmferry sync web1\n"
      "  vmferry cutover web1\n"
      "  vmferry sync --stop web1 --remove-volumes\n"
      "\nSee vmferry-sync(1).");
  return [options](Session& session) { return sync(session, *options); };
}

}  // namespace vmferry::cli
