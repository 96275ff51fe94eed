// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/fleet/job_run.h"
#include "vmferry/ceph.h"

namespace vmferry::fleet {

/// How the migrations of a worker run.
struct MigrateTerms {
  std::string program;  ///< vmferry
  std::string connect;  ///< libvirt's URI here; empty: its default
  std::string state_dir;
  CephOptions ceph;  ///< of this host; the user is the plan's
};

/// Runs `vmferry migrate` for each guest, or `vmferry sync` and `vmferry cutover`: first what an
/// earlier run left is recovered. And `vmferry sparsify` for each volume.
class MigrateRunner : public JobRunner {
 public:
  explicit MigrateRunner(MigrateTerms terms) : terms_(std::move(terms)) {}
  std::unique_ptr<JobRun> begin(const JobOrder& order) override;

 private:
  const MigrateTerms terms_;
};

/// Throws Error (kUsage) unless the job's `to` only names a place: of some URIs libvirt runs
/// commands.
void require_plain_uri(const FleetJob& job);
/// The arguments of `vmferry migrate` for a job. Throws Error (kUsage) for one that a worker
/// refuses to do: whoever may write to the fleet's object has written it.
std::vector<std::string> migrate_arguments(const JobOrder& order, const MigrateTerms& terms);
/// Those of `vmferry sync` and `vmferry cutover` for one that moves warm, and of the end of its
/// warm move, without anything left of it.
std::vector<std::string> sync_arguments(const JobOrder& order, const MigrateTerms& terms);
std::vector<std::string> cutover_arguments(const JobOrder& order, const MigrateTerms& terms);
std::vector<std::string> give_up_arguments(const JobOrder& order, const MigrateTerms& terms);
/// The same for the recovery of what an earlier run left. `how` is "--undo", "--finish" or nothing.
std::vector<std::string> recover_arguments(const JobOrder& order, const MigrateTerms& terms,
                                           const std::string& how);

/// The file with the rate of a job that runs, in the state directory.
std::string rate_file(const FleetJob& job, const MigrateTerms& terms);

/// The record of a move of that guest to those volumes which ended at `since` or later (seconds
/// since 1970); empty: there is none.
std::string record_since(const FleetJob& job, const std::string& state_dir, int64_t since);
/// All of them.
std::vector<std::string> records_since(const FleetJob& job, const std::string& state_dir,
                                       int64_t since);

}  // namespace vmferry::fleet
