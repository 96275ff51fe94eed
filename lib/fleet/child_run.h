// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "lib/fleet/job_lock.h"
#include "lib/fleet/job_process.h"
#include "lib/fleet/job_run.h"
#include "lib/fleet/job_words.h"
#include "lib/fleet/migrate_run.h"

namespace vmferry::fleet {

/// A job that child processes do, one after the other, while nobody else on this host works on its
/// guest or volume.
class ChildRun : public JobRun {
 public:
  /// Throws Error.
  ChildRun(const JobOrder& order, const MigrateTerms& terms);

  bool look() final;
  JobNews news() const final { return news_; }
  JobResult result() const final { return *result_; }

 protected:
  /// Goes on as far as it can without waiting. Throws Error, which is how the job ends.
  virtual void step() = 0;
  /// Takes away what was for the children alone.
  virtual void clean_up() {}

  const FleetJob& job() const { return order_.plan.jobs.front(); }
  bool may_still() const { return !order_.is_ours || order_.is_ours(); }
  /// What the child has said since; in `news_`, too.
  void read_words();
  void finish(JobResult::End end, const std::string& record = {});
  void fail(const std::string& error, const std::string& hint);
  /// It must not be begun once more.
  void fail_as_deadly();

  const JobOrder order_;
  const MigrateTerms terms_;
  JobLock lock_;
  std::optional<JobProcess> process_;
  JobWords words_;  ///< of that process, or the last one
  JobNews news_;
  std::optional<JobStop> stop_;
  std::optional<JobResult> result_;
};

}  // namespace vmferry::fleet
