// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/fake_host.h"
#include "tests/unit/fake_storage.h"
#include "vmferry/migrate.h"
#include "vmferry/sync.h"

namespace vmferry::test {

/// One way that a migration can go: what is asked for, in which world.
struct WayUnderTest {
  std::string name;
  std::function<void(World&, MigrateRequest&)> prepare;
};
const std::vector<WayUnderTest>& all_ways();
/// Those from volumes to volumes.
const std::vector<WayUnderTest>& ways_on_rbd();
/// Those back to files, with images of qcow2 in place of raw ones: what else can go wrong on them
/// is seen on all_ways().
const std::vector<WayUnderTest>& ways_to_qcow2();
const WayUnderTest& way_named(std::string_view name);

/// Of each disk; not a multiple of a usual cluster.
inline constexpr uint64_t kDiskBytes = (uint64_t{4} << 30) + 2097152 + 512;
inline constexpr const char* kGuestName = "web1";
inline constexpr const char* kGuestUuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";
inline constexpr const char* kSecretUuid = "0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f";
inline constexpr const char* kSecretKey = "AQBhZGRlZGtleXRoYXRub2JvZHltYXlzZWU=";

/// Keeps what a person would be told.
class Listener : public MigrationObserver {
 public:
  void step(const std::string& text) override { said += text + "\n"; }
  void warning(const std::string& text) override { said += "warning: " + text + "\n"; }
  void job(const std::string& what, uint64_t, uint64_t, uint64_t) override { said += what + "\n"; }
  void job_ended() override {}
  void phase_began(const std::string&, const Progress&,
                   const std::vector<const Source*>&) override {}
  void phase_ended() override {}
  std::string said;
};

/// How a call of the driver ended.
struct Outcome {
  bool killed = false;
  std::optional<ErrorKind> error;  ///< nothing: it succeeded
  std::string message;
  std::string hint;
  MigrateReport report;

  bool done() const { return !killed && !error; }
  bool names_recovery() const { return hint.find("--recover") != std::string::npos; }
};

/// A world with the machine web1 on host alpha (two disks and a cdrom), another host beta, and a
/// cluster; and the driver's calls on it. How the machine was at the beginning is remembered.
class Rig {
 public:
  explicit Rig(const WayUnderTest& way);
  ~Rig();
  Rig(const Rig&) = delete;

  World& world() { return *world_; }
  HostData& alpha() { return world_->hosts.at("alpha"); }
  HostData& beta() { return world_->hosts.at("beta"); }
  DomainData& guest() { return alpha().domains.at(kGuestName); }

  /// The machine where people work with it: where it runs, else at alpha, else at beta. Null: it is
  /// defined nowhere.
  DomainData* present();

  Plan plan();
  /// The same one for a rig that is as its way made it, without planning each time.
  const Plan& plan_of_way() const;
  /// With everything new but the world, its daemons and the state directory, like a new process.
  Outcome run(const Plan& plan, std::stop_token stop = {});
  Outcome recover(Recovery recovery, std::stop_token stop = {});
  bool has_journal() const;
  bool guest_runs() { return running() != nullptr; }
  /// Everything that the state directory holds.
  std::string state_text() const;
  const std::string& state_dir() const { return state_dir_; }
  const std::string& said() const { return said_; }
  /// Was it said that this old image is not deleted?
  bool said_to_stay(const std::string& image) const;

  /// The guest shuts down by itself, wherever it runs; or somebody starts it where it ran last, or
  /// else where it is defined.
  void power_off();
  void power_on();
  void undefine_where_it_did_not_run();

  /// What is not as it should be; empty: all is well. After each of these the guest is stopped and
  /// started once more, from its persistent definition, and must find its data.
  std::vector<std::string> problems_if_untouched();
  std::vector<std::string> problems_if_moved();
  /// What must hold at any time, also when the run is half done.
  std::vector<std::string> problems_always();

  // A warm move (migrate_rig_warm.cpp).
  Plan plan_sync();
  Plan plan_cutover(bool before_sync = false);
  Plan plan_stop(bool remove_volumes);
  std::optional<SyncState> sync_state() const;
  /// Is all as it should be between two runs of a warm move?
  std::vector<std::string> problems_if_synced();

  MigrateRequest request;
  Patience patience;
  bool guest_was_stopped = false;     ///< by us: it need not run at the end
  std::shared_ptr<CallTrace> trace;   ///< of both hosts; null: none
  RateNow rate;                       ///< MigrateContext::rate
  std::set<std::string> others = {};  ///< images that somebody else made meanwhile

 private:
  MigrateContext context(Listener& listener, std::stop_token stop);
  Outcome attempt(const std::function<MigrateReport(const MigrateContext&)>& act,
                  std::stop_token stop);
  void remember();
  void require(bool holds, const std::string& what);
  void check_content();
  void check_restart();
  void check_state(const std::string& host);
  void check_images(std::set<std::string> expected);
  void check_moved_definitions();
  std::string rewritten(const std::string& definition) const;
  DomainData* running();
  std::string goal_pool() const;
  std::map<std::string, std::string> goals() const;
  std::vector<std::string> report_problems();

  std::string way_;
  std::shared_ptr<World> world_;
  std::shared_ptr<FakeHost> alpha_host_ = std::make_shared<FakeHost>(world_, "alpha");
  std::shared_ptr<FakeHost> beta_host_ = std::make_shared<FakeHost>(world_, "beta");
  FakeStorage storage_;
  std::string state_dir_;
  std::string said_;
  std::string said_last_;  ///< by the last run or recovery
  std::vector<std::string> problems_;

  DomainData before_;
  std::set<std::string> images_before_;
};

/// What the undisturbed run calls.
const std::vector<std::string>& calls_of(const WayUnderTest& way);
/// The first that the first of the staged ways has not, too. Up to there they are one.
unsigned first_own_call(const WayUnderTest& way);
bool changes_something(const std::string& call);
/// The calls of that run before which something is not as it was one call earlier (in the journal,
/// definitions, jobs or images, but not in what guests wrote), and those that change something.
/// From first_own_call on.
const std::vector<unsigned>& moments_of(const WayUnderTest& way);

}  // namespace vmferry::test
