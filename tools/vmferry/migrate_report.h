// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/migrate.h"

// What a migration says: its plan, its steps and jobs as they go, its report.

namespace vmferry::cli {

/// For people; a failed check's hint on a line of its own.
std::string plan_text(const Plan& plan);
std::string plan_json(const Plan& plan);
std::string checks_text(const Plan& plan, bool failed_only);
/// Of a run that moved the domain.
std::string report_text(const std::string& domain, const MigrateReport& report);
std::string report_json(const std::string& domain, const MigrateReport& report);
/// The record of a move, for audits: the report with version and time.
std::string record_json(const std::string& domain, const MigrateReport& report,
                        const std::string& ended);

/// Steps as lines, jobs as bars (or JSON lines), on stderr.
class ConsoleObserver : public MigrationObserver {
 public:
  /// Steps and warnings are noted in `trace` as well; null: there is none.
  ConsoleObserver(Session& session, ProgressStyle style, bool quiet,
                  std::shared_ptr<CallTrace> trace)
      : session_(session), style_(style), quiet_(quiet), trace_(std::move(trace)) {}

  void step(const std::string& text) override;
  void warning(const std::string& text) override;
  void job(const std::string& what, uint64_t done, uint64_t total, uint64_t dirty_rate) override;
  void job_ended() override { display_.reset(); }
  void phase_began(const std::string& phase, const Progress& counters,
                   const std::vector<const Source*>& sources) override {
    phase_.emplace(session_, style_, phase, counters, sources);
  }
  void phase_ended() override { phase_.reset(); }

 private:
  Session& session_;
  const ProgressStyle style_;
  const bool quiet_;
  const std::shared_ptr<CallTrace> trace_;
  Progress job_;
  std::optional<ProgressDisplay> display_;  ///< of the job
  std::optional<ProgressDisplay> phase_;    ///< the copying thread's alone
};

}  // namespace vmferry::cli
