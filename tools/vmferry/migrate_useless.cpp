// SPDX-License-Identifier: LGPL-2.1-or-later
#include <initializer_list>
#include <set>
#include <string>

#include "tools/vmferry/migrate_options.h"

// Options that would have no effect are refused.

namespace vmferry::cli {
namespace {

/// What this move has no use for. A recovery knows what its run was.
void refuse_useless(const CLI::App& app, const MigrateOptions& options) {
  const MigrateRequest& request = options.request;
  const bool to_files = request.to_files();
  if (request.to.empty()) {
    refuse_any(app,
               {"--parallel", "--auto-converge", "--max-downtime", "--listen-address",
                "--migration-uri", "--tls", "--keep-source-definition"},
               "is for a move to another host", "name that host with --to, or leave it out");
  }
  if (request.mode == MigrateMode::kOffline && request.method != MigrateMethod::kAuto) {
    refuse_usage("--method is for a machine that runs on", "leave it out, or --mode offline");
  }
  if (request.mode == MigrateMode::kOffline) {
    refuse_any(app,
               {"--overlay-dir", "--overlay-max", "--quiesce", "--timeout", "--synchronous-writes",
                "--parallel", "--auto-converge", "--max-downtime", "--listen-address",
                "--migration-uri", "--tls"},
               "is for a machine that runs on", "leave it out, or --mode offline");
  }
  if (request.mode == MigrateMode::kLive) {
    refuse_any(app, {"--shutdown-timeout", "--force-off", "--no-shutdown"},
               "is for a machine that is shut down", "leave it out, or --mode live");
  }
  if (request.method == MigrateMethod::kMirror) {
    refuse_any(app, {"--overlay-dir", "--overlay-max", "--quiesce"},
               "is for overlays, which --method mirror does without",
               "leave it out, or --method mirror");
  }
  if (request.rewrite_only) {
    if (request.mode == MigrateMode::kLive || to_files) {
      refuse_usage("--rewrite-only is for a machine that is off, and for volumes",
                   "leave --mode live and --to-dir out");
    }
    refuse_any(app,
               {"--method", "--base", "--snapshots", "--rate-limit", "--rate-limit-file",
                "--object-size", "--stripe-unit", "--stripe-count", "--data-pool", "--features"},
               "is for a copy that is made", "leave it out, or --rewrite-only");
  }
  if (to_files && options.layout != RbdLayout()) {
    refuse_usage("objects, stripes, pools and features mean nothing to the files of --to-dir",
                 "leave those options out");
  }
  if (to_files) {
    refuse_any(app,
               {"--allow-file", "--base", "--snapshots", "--chain-as-snapshots", "--define-secret",
                "--secret-uuid", "--secret-usage", "--to-ceph-conf", "--to-id"},
               "is for a move to Ceph", "leave it out: --to-dir moves to files");
  } else {
    refuse_any(app, {"--target-format", "--compress", "--compression-level", "--cluster-size"},
               "is for a move to files (--to-dir)", "leave it out: a volume is raw");
  }
}

/// A run that has begun goes on as it was asked for, but for what is named here.
void refuse_settled(const CLI::App& app) {
  static const std::set<std::string> kMayBeGiven = {"DOMAIN",           "--recover",
                                                    "--undo",           "--finish",
                                                    "--stay",           "--state-dir",
                                                    "--connect",        "--to",
                                                    "--ceph-conf",      "--id",
                                                    "--keyring",        "--cluster",
                                                    "--rate-limit",     "--rate-limit-file",
                                                    "--timeout",        "--overlay-max",
                                                    "--max-downtime",   "--parallel",
                                                    "--auto-converge",  "--tls",
                                                    "--listen-address", "--migration-uri",
                                                    "--force-off",      "--shutdown-timeout",
                                                    "--jobs",           "--quiet",
                                                    "--json",           "--progress",
                                                    "--trace"};
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 0 && !kMayBeGiven.contains(option->get_name())) {
      refuse_usage(option->get_name() + " cannot be given to --recover",
                   "the run has begun otherwise; see --recover in vmferry-migrate(1)");
    }
  }
}

}  // namespace

void refuse_any(const CLI::App& app, std::initializer_list<const char*> names,
                const std::string& what, const std::string& hint) {
  for (const char* name : names) {
    if (app.get_option(name)->count() > 0) {
      refuse_usage(name + (" " + what), hint);
    }
  }
}

void require_useful(const CLI::App& app, const MigrateOptions& options) {
  if (options.recover) {
    refuse_settled(app);
  } else {
    refuse_useless(app, options);
  }
}

}  // namespace vmferry::cli
