// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/fleet/counts.h"
#include "lib/fleet/values.h"
#include "lib/store/rbd/shared_object.h"
#include "vmferry/fleet_state.h"

namespace vmferry::fleet {

/// What is looked at before a job begins.
struct FleetFacts {
  Control control;
  Count count;                               ///< of each wave the hosts that have jobs left
  unsigned failures = 0;                     ///< since the fleet was last told to go on
  std::map<std::string, std::string> texts;  ///< as they were read, by key

  Counts counts(const std::string& what) const { return {texts, what}; }
};

/// The state of a job, with the text that it was read as or is to be written as.
struct JobEntry {
  FleetJobStatus status;
  std::string text;
  JobSlots slots = {};  ///< while it runs
};

/// A job that waits for its turn.
struct PendingJob {
  unsigned number = 0;
  std::string target_host;
  bool begun = false;   ///< it ran before: its host may have what an unfinished run left
  bool synced = false;  ///< only its cutover is left
};

/// How a job ended, or why it stopped.
struct JobEnding {
  FleetJobState state = FleetJobState::kFailed;  ///< not kRunning
  std::string error;
  std::string hint;
  std::string record;   ///< of kDone
  bool synced = false;  ///< a warm move is synchronised: its cutover is left
  unsigned wave = 0;    ///< of `synced`: that of the cutover; 0: the same
};

/// The state of one fleet, as one worker or command reads and changes it. All changes depend on
/// what was read: false means that it is not so any more, and nothing was done. One thread. Throws
/// Error, as SharedObject does; a change whose answer was lost but which shows is no error.
class Ledger {
 public:
  /// `who` is in all marks, and the name of the lease of who works: no two have the same.
  Ledger(SharedObject& object, std::string what, std::string who);

  const std::string& what() const { return what_; }
  const std::string& who() const { return who_; }

  /// With the counts of the jobs of these hosts.
  FleetFacts facts(const std::vector<std::string>& hosts = {});
  FleetLimits limits();
  JobEntry job(unsigned number);
  /// The text of the plan with this job only.
  std::string order(unsigned number);
  std::vector<RunningJob> running();
  /// All keys that begin so, and of these those that are there, with their values.
  std::map<std::string, std::string> all(const std::string& prefix);
  std::map<std::string, std::string> values(const std::vector<std::string>& keys) {
    return object_.get(keys);
  }
  /// All jobs of the fleet, in the order of the plan.
  std::vector<JobEntry> jobs();
  /// All workers of the fleet, or of one host.
  std::vector<FleetWorkerStatus> workers(const std::string& host = {});
  /// Pending jobs of a host; `wave` 0: of all waves.
  std::vector<PendingJob> pending(const std::string& host, unsigned wave, size_t most);

  bool enter(const FleetWorkerStatus& worker, std::chrono::seconds lease);
  bool renew(std::chrono::seconds lease);
  void tell(const FleetWorkerStatus& worker);
  /// The worker has nothing left that runs.
  void leave();
  bool is_alive(const std::string& worker);
  /// Takes a dead worker, which has no job, out of the list.
  void forget(const FleetWorkerStatus& worker);

  /// Nothing: somebody else has it or one of these slots, or something else changed meanwhile.
  std::optional<JobEntry> claim(const FleetFacts& facts, unsigned number, const JobSlots& slots);
  /// The job of a worker that is dead. Nothing: it is not, or has it no more.
  std::optional<JobEntry> take_over(const RunningJob& job);
  bool put(const JobEntry& job, const FleetProgress& progress);
  /// The end of a job of this worker. `stop_after`: so many failures stop the fleet; 0: none do.
  /// Who waits for the end of a wave is woken.
  bool end(const JobEntry& job, const JobEnding& ending, unsigned stop_after);

  /// Changes a job that does not run here: what is asked of a running one, or the state of another.
  bool change_job(const JobEntry& job, const FleetJobStatus& wanted, const FleetFacts& facts);
  /// Changes many that do not run, all or none.
  bool change_jobs(const std::vector<JobEntry>& jobs, FleetJobState wanted, const FleetFacts& facts,
                   const Control& control);
  /// Ends a job whose worker is dead.
  bool give_up(const JobEntry& job);
  bool change_control(const FleetFacts& facts, const Control& control);
  /// Any other. `shows` is a key whose new value nobody else writes.
  Changed apply(const ObjectChange& change, const std::string& shows);

 private:
  std::string mark();
  ObjectChange claim_of(const FleetFacts& facts, JobEntry& job);
  Counts counts_of(const std::vector<std::string>& hosts);
  void wake_others();

  SharedObject& object_;
  const std::string what_;
  const std::string who_;
  std::string host_;  ///< of this worker
  unsigned marks_ = 0;
};

/// The name of a worker's lease.
std::string lease_of(const std::string& worker);

/// Writes down what moving a job from one state to another does to the list of pending ones, and
/// counts it. REQUIRES: neither is kRunning, or the change has all it needs of that itself.
void move(ObjectChange& change, Counts& counts, const FleetJobStatus& from,
          const FleetJobStatus& to);

/// The change that makes a fleet out of a plan, with `mark` at its gate. Throws Error (kUsage).
ObjectChange new_fleet(const FleetPlan& plan, const std::string& mark);
/// command_fleet(), without waking anybody.
std::string command(Ledger& ledger, FleetCommand command, const std::string& guest);
/// The whole state of a fleet, but its name and pool.
FleetStatus status_of(Ledger& ledger);

}  // namespace vmferry::fleet
