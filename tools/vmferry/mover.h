// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tools/vmferry/migrate_options.h"
#include "tools/vmferry/migrate_report.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/migrate.h"

// What every command that moves a machine does: connect, look, print the plan or run it, tell how
// it ended.

namespace vmferry::cli {

/// The two sides of a move and what watches over it, made of options that are complete. One thread.
class Mover {
 public:
  /// `action`: for the log and for messages, "migrate". Connects; throws Error.
  Mover(Session& session, MigrateOptions& options, const std::string& action);
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;

  const MigrateContext& context() const { return context_; }
  /// Prints the plan if only that is wanted: the exit status then. Nothing: it is to be run.
  std::optional<int> only_planned(const Plan& plan) const;
  /// Refuses a plan with a failed check, and says what was found.
  void require_possible(const Plan& plan) const;
  /// Runs what makes something; says where the log is if it fails.
  void run(const std::function<void()>& work);
  /// Prints how it ended.
  void tell_end(const MigrateReport& report) const;
  /// All of that for one plan: prints it, or runs it and tells. Answers the exit status.
  int carry_out(const Plan& plan);

 private:
  Session& session_;
  const std::string action_;
  const MigrateOptions& options_;
  const std::shared_ptr<CallTrace> trace_;
  ConsoleObserver observer_;
  const std::unique_ptr<MigrationStorage> storage_;
  MigrateContext context_;
};

/// What a later run was not told of is as it was for the one that began.
void take_recorded_cluster(MigrateOptions& options);

/// For commands of warm moves, which look at their state first.
void find_state_dir(MigrateOptions& options);

/// --recover: ends the run that has left a journal. `options` are as given.
int recover_run(Session& session, MigrateOptions& options);

}  // namespace vmferry::cli
