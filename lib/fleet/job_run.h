// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// What a worker of a host does for one job.
struct JobOrder {
  FleetPlan plan;          ///< with this job only
  uint64_t bandwidth = 0;  ///< bytes a second of this job, as it begins; 0: no limit
  int64_t began = 0;       ///< when the job was first begun; seconds since 1970
  bool undo_only = false;  ///< only undo what an earlier run left half done
  bool may_begin = true;   ///< false: only end what an earlier run left half done
  bool cut_over = false;   ///< of a warm move: once it is synchronised, it may be cut over now
  /// Asked just before anything is done to the guest: may it still be? May be empty.
  std::function<bool()> is_ours = {};
};

/// How far it is. Bytes.
struct JobNews {
  std::string phase;
  uint64_t done = 0;
  uint64_t total = 0;  ///< 0: not known
};

struct JobResult {
  enum class End {
    kMoved,
    kSynced,  ///< of a warm move: its cutover is left
    kUndone,  ///< it is as it was before: as it was asked to, or for `error`
    kKept,    ///< stopped where it can go on later, as it was asked to
    kFailed,
  };
  End end = End::kFailed;
  std::string error;
  std::string hint;
  std::string record;  ///< of kMoved: the report of the migration, as JSON
};

enum class JobStop {
  kLeave,  ///< as kUndo, but nothing is begun or waited for any more
  kUndo,   ///< put the guest back, or finish where that is not possible any more
  kKeep,   ///< stop where it can go on later, or go on to the end
};

/// A job that runs. It ends with this object, and with this process. One thread; no call waits.
class JobRun {
 public:
  virtual ~JobRun() = default;
  /// Looks how far it is. True: it has ended, and has a result.
  virtual bool look() = 0;
  virtual JobNews news() const = 0;
  /// REQUIRES: look() was true.
  virtual JobResult result() const = 0;
  /// Bytes a second from now on, where its order has a limit.
  virtual void allow(uint64_t bandwidth) = 0;
  /// Asks it to end. Nothing: not any more.
  virtual void ask(std::optional<JobStop> stop) = 0;
};

class JobRunner {
 public:
  virtual ~JobRunner() = default;
  /// Throws Error where nothing can be begun. As long as another process of this host works on the
  /// same guest the run waits.
  virtual std::unique_ptr<JobRun> begin(const JobOrder& order) = 0;
};

}  // namespace vmferry::fleet
