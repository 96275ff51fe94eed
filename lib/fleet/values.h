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
/// Has another value after each claim, and whenever a job becomes pending or is it no more. So who
/// counts what runs, and begins a job only if the gate is as it was, never exceeds a limit.
inline constexpr const char* kGateKey = "gate";
inline constexpr const char* kCountKey = "count";
inline constexpr const char* kLimitsKey = "limits";  ///< the plan with its first job only
inline constexpr const char* kJobs = "job/";         ///< the state of each
inline constexpr const char* kOrders = "guest/";     ///< the plan with this job only
inline constexpr const char* kRunning = "run/";      ///< of those that run
inline constexpr const char* kRecords = "record/";   ///< the report of those that are done
inline constexpr const char* kWorkers = "worker/";

std::string numbered(const char* prefix, unsigned number);
/// The number at the end of such a key.
unsigned number_of(const std::string& key, const std::string& what);
/// A key there is only while the job is pending: a worker finds its next one without looking at
/// others. Its value is the target host after a '>', or a '!' where the job ran before.
std::string pending_key(const std::string& host, unsigned wave, unsigned number);
std::string pending_prefix(const std::string& host, unsigned wave);  ///< wave 0: of all

struct Control {
  std::string state = "running";  ///< or "paused", "stopped", "cancelled"
  std::string why;
  int64_t submitted = 0;
};
struct Count {
  std::map<unsigned, unsigned> left;  ///< wave -> jobs that have not ended; none is 0
  unsigned failures = 0;              ///< since the fleet was last told to go on

  /// The wave that jobs may begin of; 0: none is left.
  unsigned wave() const { return left.empty() ? 0 : left.begin()->first; }
};
/// A job that runs.
struct RunningJob {
  unsigned number = 0;
  std::string host;
  std::string target_host;
  std::string worker;
  FleetProgress progress;
};

/// `mark` makes the value unlike any other.
/// Sums up what the report of a move says about the space of its disks.
void add_space(const std::string& record, FleetJobStatus& job);

std::string text_of(const Control& control, const std::string& mark);
std::string text_of(const Count& count);
std::string text_of(const FleetJobStatus& job, const std::string& mark);
std::string text_of(const RunningJob& job);
std::string text_of(const FleetWorkerStatus& worker);

Control control_of(const std::string& text, const std::string& what);
Count count_of(const std::string& text, const std::string& what);
FleetJobStatus job_of(const std::string& text, const std::string& what);
RunningJob running_of(const std::string& key, const std::string& text, const std::string& what);
FleetWorkerStatus worker_of(const std::string& key, const std::string& text,
                            const std::string& what);

}  // namespace vmferry::fleet
