// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "tools/vmferry/options.h"
#include "vmferry/migrate.h"

// The command line of a migration, and what of it goes together.

namespace vmferry::cli {

struct MigrateOptions {
  MigrateRequest request;
  std::vector<std::string> disks;
  std::vector<std::string> bases;
  std::vector<std::string> monitors;
  CephOptions ceph;          ///< of the new volumes
  std::string to_ceph_conf;  ///< where that is not the cluster of the old ones; empty: it is
  std::string to_id;         ///< the user there; empty: as there
  RbdLayout layout;
  RunOptions run;
  std::optional<uint64_t> bandwidth;
  std::string rate_file;  ///< which holds it, and may be changed; empty: none
  unsigned timeout = 0;
  unsigned shutdown_timeout = 120;
  std::string state_dir;
  bool dry_run = false;
  bool check = false;
  bool recover = false;
  bool undo = false;
  bool finish = false;
  bool stay = false;
  bool trace = false;
};

void add_migrate_options(CLI::App& app, MigrateOptions& options);

// Parts of it that other commands have as well (mover_options.cpp).
/// How the guest reaches the cluster.
void add_guest_options(CLI::App& app, MigrateOptions& options);
/// --to-ceph-conf and --to-id.
void add_other_cluster_options(CLI::App& app, MigrateOptions& options);
/// Where its writes go meanwhile, how fast its disks are copied, and for how long at most.
void add_overlay_options(CLI::App& app, MigrateOptions& options);
/// How a guest that runs goes to another host.
void add_leaving_options(CLI::App& app, MigrateRequest& request);
void add_keep_definition_option(CLI::App& app, MigrateRequest& request);
/// --recover, with --undo and --finish.
void add_recover_options(CLI::App& app, MigrateOptions& options);
/// --stay, which needs those.
void add_stay_option(CLI::App& app, MigrateOptions& options);
/// --trace and --state-dir.
void add_log_options(CLI::App& app, MigrateOptions& options);

/// Throws Error (kUsage) if one of these options was given: "--tls is for ...".
void refuse_any(const CLI::App& app, std::initializer_list<const char*> names,
                const std::string& what, const std::string& hint);

/// Throws Error (kUsage) for what has no effect, or does not go together.
void require_useful(const CLI::App& app, const MigrateOptions& options);

/// Puts into the request what was given as text, with names of files that hold wherever the run, or
/// a later recovery of it, is started. Throws Error (kUsage).
void complete(MigrateOptions& options);

/// What was recorded, with what may be given anew to a recovery. Throws Error (kUsage).
MigrateRequest changed(MigrateRequest recorded, const MigrateRequest& given);

[[noreturn]] void refuse_usage(const std::string& what, const std::string& hint);

}  // namespace vmferry::cli
