// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/ceph.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"

// A fleet that was submitted, and what is done with it. Its state is in the cluster: one RADOS
// object "fleet.NAME" in the namespace "vmferry" of the plan's pool. Whoever may write to that
// namespace commands the workers. All functions may be called from any thread, and throw Error:
// kNotFound where there is no such fleet, kUnsupported for one of a newer version of vmferry.

namespace VMFERRY_API vmferry {

/// Where a fleet is.
struct FleetPlace {
  std::string pool;  ///< empty: the one pool that has a fleet of that name
  std::string name;
  CephOptions ceph;
};

enum class FleetJobState {
  kPending,
  kRunning,
  kPaused,  ///< does not begin, or go on, before somebody says so
  kDone,
  kFailed,
  kCancelled,
};
/// "pending", "running" and so on.
std::string word_of(FleetJobState state);

/// How far a job is that runs now.
struct FleetProgress {
  std::string phase;   ///< for people
  uint64_t done = 0;   ///< bytes of this phase
  uint64_t total = 0;  ///< likewise; 0: not known
  uint64_t rate = 0;   ///< bytes a second, lately
  int64_t told = 0;    ///< when it was written; seconds since 1970
};

struct FleetJobStatus {
  unsigned number = 0;  ///< its place in the plan, from 1 on
  std::string guest;
  std::string host;
  std::string target_host;  ///< empty: the guest stays on its host
  unsigned wave = 1;        ///< of a warm move that is synchronised, the one of its cutover
  uint64_t data = 0;        ///< bytes to copy, as the plan says
  FleetJobState state = FleetJobState::kPending;
  bool synced = false;  ///< of a warm move that has not ended: only its cutover is left
  unsigned attempts = 0;
  unsigned deaths = 0;  ///< of workers that had it, since somebody said that it be tried again
  std::string worker;   ///< who has it, or had it last
  std::string asked;    ///< of a running one: "pause" or "cancel", which its worker will do
  int64_t began = 0;    ///< the first time; seconds since 1970, 0: not yet
  int64_t ended = 0;    ///< likewise
  uint64_t before = 0;  ///< bytes that its disks took, once it is done
  uint64_t after = 0;   ///< bytes that they take since
  std::string error;    ///< why it failed
  std::string hint;     ///< what to do about it
  std::optional<FleetProgress> progress;  ///< while it runs
  bool has_worker = true;                 ///< false: it runs, but its worker is dead
};

struct FleetWorkerStatus {
  std::string id;
  std::string host;
  int64_t since = 0;    ///< seconds since 1970
  std::string waiting;  ///< why it begins nothing; empty: it is busy, or there is nothing to do
  bool alive = true;    ///< has its lease
};

struct FleetStatus {
  std::string name;
  std::string pool;
  /// "running", "paused", "stopped" (after failures), "cancelling", "cancelled" or "ended".
  std::string state;
  std::string why;  ///< of "stopped"
  int64_t submitted = 0;
  std::vector<FleetJobStatus> jobs;  ///< in the order of the plan
  std::vector<FleetWorkerStatus> workers;

  size_t count(FleetJobState wanted) const;
};

/// Stores a plan, in the pool that it names, as the fleet `name`: whole or not at all. Throws
/// kConflict where there is a fleet of that name, unless `replace` and all of its jobs have ended.
void submit_fleet(const FleetPlan& plan, const std::string& name, const CephOptions& ceph,
                  bool replace);

FleetStatus fleet_status(const FleetPlace& place);
/// Calls `show` at once, when something is told to the workers, and each `every`, until `stop` or
/// the fleet has ended. Where the cluster does not answer `trouble` is called, and it is asked
/// again, once it has answered before. May be empty: then that is an Error.
void watch_fleet(const FleetPlace& place, std::chrono::milliseconds every,
                 const std::function<void(const FleetStatus&)>& show,
                 const std::function<void(const Error&)>& trouble, std::stop_token stop);
/// The plan as it was submitted.
FleetPlan fleet_plan(const FleetPlace& place);

enum class FleetCommand {
  kPause,
  kResume,
  kCancel,
  kRetry,
  kGiveUp,  ///< of one guest, whose worker is dead
};
/// Asks the workers, for the whole fleet or for one guest ("NAME", or "NAME@HOST" where several
/// hosts have one of that name). Returns what that means, for people. Throws kConflict where it
/// means nothing.
std::string command_fleet(const FleetPlace& place, FleetCommand command, const std::string& guest);

/// How a worker works.
struct FleetWork {
  std::string pool;       ///< empty: of the one fleet that is named
  std::string name;       ///< empty: all fleets of the pool
  CephOptions ceph;       ///< also for the migrations
  std::string host;       ///< libvirt's name of this host
  std::string connect;    ///< libvirt's URI here; empty: its default
  std::string state_dir;  ///< of migrations
  unsigned slots = 0;     ///< jobs at once; 0: as many as the fleet allows a host
  bool once = false;      ///< ends when this host has nothing more to do
  std::chrono::seconds lease{30};
  std::string program;  ///< that moves a guest: vmferry
  std::stop_token stop;
  /// One line for people of what begins, ends, and is waited for. May be empty.
  std::function<void(const std::string&)> say;
};
/// Works until `stop`, or as `once` says. Throws only where it cannot begin.
void work_on_fleet(const FleetWork& work);

}  // namespace VMFERRY_API vmferry
