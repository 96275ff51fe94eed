// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "lib/fleet/job_run.h"
#include "lib/fleet/ledger.h"

namespace vmferry::fleet {

struct WorkerTerms {
  std::string host;
  unsigned slots = 0;  ///< 0: as many as the fleet allows a host
  std::chrono::seconds lease{30};
  /// Names for leases: each call another one.
  std::function<std::string()> new_name;
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  /// Minutes since midnight, here.
  std::function<unsigned()> minute;
  /// Why the cluster should get no more load; empty: nothing. Does not wait long.
  std::function<std::string()> trouble;
  std::function<void(const std::string&)> say;
};

/// Works on one fleet: takes jobs of its host, has them run, and writes down how far they are, all
/// under a lease. It never sleeps: who has it calls tick() a few times a second. One thread.
class Worker {
 public:
  Worker(SharedObject& object, std::string what, WorkerTerms terms, JobRunner& runner);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  /// Looks after what runs, and begins what may begin. A store that fails is tried again. Throws
  /// kNotFound (the fleet is gone) and kUnsupported (it is of a newer version), once nothing runs.
  void tick();
  /// Something was told to the workers: look soon, or at once if a job runs here.
  void wake();
  /// Begins nothing more, and undoes what runs.
  void stop();
  /// Nothing runs here, and after stop(), the lease is given back.
  bool is_idle() const { return jobs_.empty() && !(stopping_ && in_); }
  /// Another tick has something to do at once.
  bool is_eager() const;
  /// There is nothing more to do for this host, as far as was seen.
  bool is_done() const { return jobs_.empty() && nothing_left_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Mine;

  bool keep_lease();
  Time trusted_until() const;
  void enter();
  void read_limits(const FleetFacts& facts);
  void lose(const std::string& why);
  void look_after(Mine& mine);
  void tell_progress(Mine& mine);
  void look_again(Mine& mine);
  void end(Mine& mine);
  JobEnding ending_of(const Mine& mine) const;
  void pass_on(Mine& mine);
  void look_around();
  void take_orphans(const std::vector<RunningJob>& running);
  void clear_dead();
  std::chrono::milliseconds rest(const FleetFacts& facts);
  void begin_some(const FleetFacts& facts, const std::vector<RunningJob>& running);
  bool try_to_begin(const FleetFacts& facts, const PendingJob& pending,
                    const std::vector<RunningJob>& running);
  std::vector<PendingJob> pending_of(unsigned wave);
  const std::vector<FleetWindow>& hours_of(bool cutover) const;
  std::string reason_to_wait(const FleetFacts& facts, const PendingJob& next);
  bool is_full(const std::vector<RunningJob>& running) const;
  unsigned slots() const;
  bool runs_here(const std::vector<RunningJob>& running) const;
  void undo_some(const FleetFacts& facts, const std::vector<RunningJob>& running);
  void begin(JobEntry job, bool undo);
  void share_bandwidth(size_t running);
  void set_waiting(const std::string& why);
  FleetWorkerStatus own_status() const;
  void say(const std::string& text) const;

  SharedObject& object_;
  const std::string what_;
  const WorkerTerms terms_;
  JobRunner& runner_;
  std::optional<Ledger> ledger_;
  std::optional<FleetLimits> limits_;
  std::vector<std::unique_ptr<Mine>> jobs_;
  Control control_;
  uint64_t share_ = 0;  ///< bytes a second of each job that runs; 0: no limit
  unsigned hosts_ = 0;  ///< with jobs left of the wave of now, when that was last looked at
  bool in_ = false;     ///< has a lease
  bool stopping_ = false;
  int64_t submitted_ = 0;  ///< when the plan was that limits_ are of
  bool nothing_left_ = false;
  Time leased_{};  ///< when the lease was last renewed, or before
  Time renew_at_{};
  Time look_at_{};
  Time enter_at_{};
  Time clear_at_{};
  std::string waiting_;
  std::string store_trouble_;  ///< said already
  JobSlots slots_before_;      ///< of the job that ended last
  unsigned lost_claims_ = 0;   ///< to other workers, since the last that was not
  int64_t since_ = 0;
  std::minstd_rand random_;
};

}  // namespace vmferry::fleet
