// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "lib/fleet/asked.h"
#include "lib/fleet/migrate_run.h"
#include "lib/fleet/place.h"
#include "lib/fleet/window.h"
#include "lib/fleet/worker.h"
#include "lib/store/rbd/rbd_admin.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kListEvery{10};       // for fleets that are new
constexpr milliseconds kBusyPause{20};  // a look at what runs costs microseconds
constexpr milliseconds kIdlePause{200};
constexpr int kOperations = 4;  // that may hang one after the other in one lease

/// The fleets of a pool, or why they are not known.
struct FleetList {
  std::map<std::string, std::string> fleets;
  std::string trouble = {};
};

FleetList list_of(const std::string& pool, const CephOptions& ceph) {
  try {
    return {fleets_of(pool, ceph)};
  } catch (const Error& error) {
    return {{}, error.what()};
  }
}

/// Why the cluster should get no more load; empty: nothing.
std::string troubles_of(const std::string& pool, const CephOptions& ceph) {
  try {
    std::string all;
    for (const std::string& each : ceph_troubles(pool, ceph)) {
      all += (all.empty() ? "" : "; ") + each;
    }
    return all;
  } catch (const Error& error) {
    return error.what();
  }
}

/// All fleets that one process works on.
class Workshop {
 public:
  explicit Workshop(const FleetWork& work)
      : work_(work),
        runner_({.program = work.program,
                 .connect = work.connect,
                 .state_dir = work.state_dir,
                 .ceph = work.ceph}) {}

  void run() {
    if (!work_.name.empty()) {
      const FleetPlace place = found({.pool = work_.pool, .name = work_.name, .ceph = work_.ceph});
      work_.pool = place.pool;
      add(work_.name);
    }
    while (!is_over()) {
      if (work_.stop.stop_requested() && !std::exchange(stopping_, true)) {
        stop_all();
      }
      look_for_fleets();
      tick_all();
      std::this_thread::sleep_for(is_eager() ? kBusyPause : kIdlePause);
    }
  }

 private:
  struct Fleet {
    std::unique_ptr<SharedObject> object;
    std::unique_ptr<Worker> worker;
    bool leaving = false;
  };

  void say(const std::string& text) const {
    if (work_.say) {
      work_.say(text);
    }
  }

  bool is_over() const { return (stopping_ || (work_.once && listed_)) && fleets_.empty(); }

  bool is_eager() const {
    for (const auto& [name, fleet] : fleets_) {
      if (fleet.worker->is_eager() || !fleet.worker->is_idle()) {
        return true;
      }
    }
    return false;
  }

  void stop_all() {
    for (auto& [name, fleet] : fleets_) {
      leave(fleet);
    }
  }

  static void leave(Fleet& fleet) {
    fleet.leaving = true;
    fleet.worker->stop();
  }

  void add(const std::string& name) {
    const FleetPlace place = {.pool = work_.pool, .name = name, .ceph = work_.ceph};
    Fleet fleet;
    // Zero would be no limit at all.
    fleet.object = open_fleet(place, std::max(work_.lease / kOperations, seconds(1)));
    fleet.object->announce({.service = "vmferry-fleet",
                            .process = fmt::format("{}.{}.{}", work_.host, name, ::getpid())});
    WorkerTerms terms;
    terms.host = work_.host;
    terms.slots = work_.slots;
    terms.lease = work_.lease;
    terms.new_name = [host = work_.host] { return own_name(host); };
    terms.minute = minute_now;
    terms.trouble = [this] { return trouble(); };
    terms.say = work_.say;
    fleet.worker = std::make_unique<Worker>(*fleet.object, display(name, work_.pool),
                                            std::move(terms), runner_);
    fleets_.emplace(name, std::move(fleet));
  }

  std::string trouble() {
    constexpr milliseconds kFirst{2000};
    if (!health_) {
      health_.emplace([pool = work_.pool, ceph = work_.ceph] { return troubles_of(pool, ceph); });
    }
    return health_->answer(kFirst).value_or("it does not answer");
  }

  /// A fleet that is new on the list, or that got new work: its value changed.
  void look_for_fleets() {
    if (!work_.name.empty() || stopping_ || Clock::now() < list_at_ || (work_.once && listed_)) {
      listed_ = listed_ || !work_.name.empty();
      return;
    }
    if (!list_) {
      list_.emplace([pool = work_.pool, ceph = work_.ceph] { return list_of(pool, ceph); });
    }
    const std::optional<FleetList> list = list_->answer(milliseconds(0));
    list_at_ = Clock::now() + (list ? kListEvery : kIdlePause);
    if (list && !list->trouble.empty()) {
      say(list->trouble + "; trying again");
    } else if (list) {
      take_up(list->fleets);
    }
  }

  void take_up(const std::map<std::string, std::string>& list) {
    try {
      for (const auto& [name, value] : list) {
        if (!fleets_.contains(name) && std::exchange(seen_[name], value) != value) {
          add(name);
        }
      }
      listed_ = true;
    } catch (const Error& error) {
      say(std::string(error.what()) + "; trying again");
    }
  }

  void tick_all() {
    for (auto fleet = fleets_.begin(); fleet != fleets_.end();) {
      fleet = tick(fleet->second, fleet->first) ? std::next(fleet) : fleets_.erase(fleet);
    }
  }

  /// What fails here fails again in tick(), which goes on later.
  static bool is_woken(Fleet& fleet) {
    try {
      return fleet.object->wait(milliseconds(0));
    } catch (const Error&) {
      return false;
    }
  }

  /// False: this fleet is done with.
  bool tick(Fleet& fleet, const std::string& name) {
    try {
      if (is_woken(fleet)) {
        fleet.worker->wake();
      }
      fleet.worker->tick();
    } catch (const Error& error) {
      if (!work_.name.empty()) {
        throw;
      }
      say(error.what());
      seen_.erase(name);  // it may come again
      return false;
    }
    const bool for_good = work_.once || work_.name.empty();
    if (for_good && fleet.worker->is_done() && !fleet.leaving) {
      say(display(name, work_.pool) + ": nothing more to do for " + work_.host);
      leave(fleet);
    }
    return !(fleet.leaving && fleet.worker->is_idle());
  }

  FleetWork work_;
  MigrateRunner runner_;
  std::optional<Asked<std::string>> health_;
  std::optional<Asked<FleetList>> list_;
  std::map<std::string, Fleet> fleets_;
  std::map<std::string, std::string> seen_;
  Clock::time_point list_at_{};
  bool stopping_ = false;
  bool listed_ = false;
};

}  // namespace
}  // namespace fleet

void work_on_fleet(const FleetWork& work) { fleet::Workshop(work).run(); }

}  // namespace vmferry
