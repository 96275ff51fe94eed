// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "vmferry/fleet_state.h"

// Keys and values of a fleet's object. Values are JSON. What is read was perhaps written by a
// stranger: all that read a value throw Error (kCorrupt), about `what`. Any thread.

namespace vmferry::fleet {

/// What the key "format" says. A newer one is refused.
inline constexpr int kStateFormat = 1;
inline constexpr const char* kNamespace = "vmferry";
inline constexpr const char* kObjectPrefix = "fleet.";
/// The object whose keys are the names of the fleets of the pool.
inline constexpr const char* kListObject = "fleets";

inline constexpr const char* kFormatKey = "format";
inline constexpr const char* kControlKey = "control";
/// Has another value whenever a job that ran becomes pending or paused, or a command changes the
/// state of one: whoever changes many at once has seen all of them if the gate is as it was.
inline constexpr const char* kGateKey = "gate";
inline constexpr const char* kCountKey = "count";        ///< of each wave the hosts with jobs left
inline constexpr const char* kHostCounts = "count/";     ///< of each host: its jobs left
inline constexpr const char* kFailuresKey = "failures";  ///< since it was last told to go on
inline constexpr const char* kLimitsKey = "limits";      ///< the plan with its first job only
inline constexpr const char* kJobs = "job/";             ///< the state of each
inline constexpr const char* kOrders = "guest/";         ///< the plan with this job only
inline constexpr const char* kRunning = "run/";          ///< those that run: slots of the fleet
inline constexpr const char* kHostSlots = "at/";         ///< HOST/SLOT: the number of the job
inline constexpr const char* kTargetSlots = "to/";       ///< likewise, of hosts that guests move to
inline constexpr const char* kRecords = "record/";       ///< the report of those that are done
inline constexpr const char* kWorkers = "worker/";       ///< HOST/ID

std::string numbered(const char* prefix, unsigned number);
/// The number at the end of such a key.
unsigned number_of(const std::string& key, const std::string& what);
/// A key there is only while the job is pending: a worker finds its next one without looking at
/// others.
std::string pending_key(const std::string& host, unsigned wave, unsigned number);
std::string pending_prefix(const std::string& host, unsigned wave);  ///< wave 0: of all
/// Its value: the target host after a '>', after a '!' where the job ran before, or after a '+'
/// where only its cutover is left.
std::string pending_value(const FleetJobStatus& job);

struct Control {
  std::string state = "running";  ///< or "paused", "stopped", "cancelled"
  std::string why;
  int64_t submitted = 0;
};
/// What has not ended.
struct Count {
  std::map<unsigned, unsigned> left;  ///< wave -> jobs of a host, or hosts with some; none is 0

  /// The wave that jobs may begin of; 0: none is left.
  unsigned wave() const { return left.empty() ? 0 : left.begin()->first; }
};
/// The places that a job has while it runs, from 1 on, among those that may run at once. 0: none.
struct JobSlots {
  unsigned of_fleet = 0;
  unsigned of_host = 0;
  unsigned of_target = 0;  ///< of the host that it goes to
};
/// A job that runs.
struct RunningJob {
  unsigned number = 0;
  JobSlots slots;
  std::string host;
  std::string target_host;
  std::string worker;
  FleetProgress progress;
};

/// Sums up what the report of a move says about the space of its disks.
void add_space(const std::string& record, FleetJobStatus& job);

/// `mark` makes the value unlike any other.
std::string text_of(const Control& control, const std::string& mark);
std::string text_of(const Count& count);
/// `slots`: of one that runs.
std::string text_of(const FleetJobStatus& job, const std::string& mark, const JobSlots& slots = {});
std::string text_of(const RunningJob& job);
std::string text_of(const FleetWorkerStatus& worker);

Control control_of(const std::string& text, const std::string& what);
Count count_of(const std::string& text, const std::string& what);
FleetJobStatus job_of(const std::string& text, const std::string& what);
JobSlots slots_of(const std::string& text, const std::string& what);
RunningJob running_of(const std::string& text, const std::string& what);
FleetWorkerStatus worker_of(const std::string& key, const std::string& text,
                            const std::string& what);

}  // namespace vmferry::fleet
