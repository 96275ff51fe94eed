// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lib/fleet/job_run.h"
#include "lib/fleet/ledger.h"
#include "lib/store/rbd/shared_object.h"

namespace vmferry::test {

/// A cluster with one shared object, and hosts with guests that move: all that a fleet is about, in
/// memory and with a clock of its own.
class FleetModel {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit FleetModel(unsigned seed) : random(seed) {}

  struct Lease {
    std::string holder;
    Time until;
  };
  /// How many of a thousand calls fail, are done without an answer, or are done after they failed.
  struct Faults {
    unsigned fail = 0;
    unsigned lose = 0;
    unsigned late = 0;
  };
  enum class Work { kMove, kSync, kCutOver, kGiveUp };
  struct Guest {
    bool journal = false;  ///< an unfinished run left it
    Work journal_of = Work::kMove;
    bool synced = false;  ///< it is in a warm move
    bool moved = false;
    unsigned moves = 0;
    std::string busy;        ///< the worker whose child works on it
    uint64_t bandwidth = 0;  ///< that this child may use
  };

  bool chance(unsigned of_thousand) { return random() % 1000 < of_thousand; }
  /// Time goes on: children work, and late changes arrive.
  void pass(std::chrono::milliseconds time);

  std::mt19937 random;
  Time now{std::chrono::hours(1)};
  unsigned minute = 0;  ///< of the day; it stays as it is
  bool exists = false;
  std::string data;
  std::map<std::string, std::string> keys;
  std::map<std::string, Lease> leases;
  Faults faults;
  unsigned fail_of_thousand = 0;  ///< of children
  uint64_t changes = 0;
  std::vector<std::pair<Time, std::function<void()>>> late;
  std::map<std::string, Guest> guests;
  std::function<void()> between;   ///< called before each call: others work at the same time
  std::vector<std::string> wrong;  ///< what must never happen, and did
  std::vector<std::weak_ptr<struct ModelChild>> children;
};

/// One process' handle of the shared object.
class ModelObject : public SharedObject {
 public:
  ModelObject(FleetModel& model, std::string holder) : model_(model), holder_(std::move(holder)) {}

  Changed change(const ObjectChange& change) override;
  std::map<std::string, std::string> get(const std::vector<std::string>& keys) override;
  KeyRange list(const std::string& prefix, const std::string& after, size_t most) override;
  std::string data() override { return model_.data; }
  void remove() override { model_.exists = false; }
  bool take_lease(const std::string& name, std::chrono::seconds duration) override;
  bool renew_lease(const std::string& name, std::chrono::seconds duration) override;
  void drop_lease(const std::string& name) override;
  std::set<std::string> leased(const std::vector<std::string>& names) override;
  void announce(const ServiceName& /*service*/) override {}
  void wake_all() override {}
  bool wait(std::chrono::milliseconds /*time*/) override { return false; }

 private:
  void fail_perhaps();
  bool holds(const std::string& lease) const;
  bool is_leased(const std::string& name) const;
  Changed done(const ObjectChange& change);

  FleetModel& model_;
  const std::string holder_;
};

/// Runs of one worker process. With the runner its children are killed.
class ModelRunner : public fleet::JobRunner {
 public:
  ModelRunner(FleetModel& model, std::string worker) : model_(model), worker_(std::move(worker)) {}
  std::unique_ptr<fleet::JobRun> begin(const fleet::JobOrder& order) override;

 private:
  FleetModel& model_;
  const std::string worker_;
};

/// A plan of `jobs` guests g1, g2 ... dealt out to `hosts` h1, h2 ...
FleetPlan model_plan(unsigned hosts, unsigned jobs, unsigned waves = 1);
/// Every third of them moves warm; of these every second is cut over in the last wave.
void make_some_warm(FleetPlan& plan);

}  // namespace vmferry::test
