// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/domain.h"
#include "vmferry/host.h"
#include "vmferry/migrate.h"

// Moving the guests of many hosts to Ceph: a plan, which a person reads and edits as text (TOML)
// before it is carried out. The structs are plain values; all functions may be called from any
// thread.

namespace VMFERRY_API vmferry {

/// What the first line of a plan says. A newer one is refused.
inline constexpr int kFleetPlanFormat = 1;
/// The longest text that read_plan() takes, in bytes: some 30,000 guests.
inline constexpr size_t kMaxPlanBytes = 16 << 20;

/// A part of the day, in the local time of the host that works.
struct FleetWindow {
  unsigned from = 0;  ///< minutes after midnight, 0..1439
  unsigned to = 0;    ///< likewise, and not part of it; before `from`: on the next day

  bool operator==(const FleetWindow&) const = default;
};

/// What holds over all hosts.
struct FleetLimits {
  unsigned jobs = 4;  ///< guests that move at once; 1 or more, as the next two
  unsigned jobs_per_host = 2;
  unsigned jobs_per_target_host = 2;
  uint64_t bandwidth = 0;           ///< bytes a second of all that move, together; 0: no limit
  std::vector<FleetWindow> window;  ///< when moves may begin; empty: always
  /// When guests that are synchronised may be cut over; empty: as `window` says.
  std::vector<FleetWindow> cutover_window = {};
  std::optional<unsigned> stop_after_failures;  ///< 1 or more; nothing: never
  bool wait_for_health = true;                  ///< of the cluster, before a move begins
};

/// How guests reach the cluster: the options of `vmferry migrate` of these names.
struct FleetCeph {
  std::string id;  ///< of the guests, without "client."; empty: no authentication
  std::vector<CephMonitor> monitors;
  SecretName secret;  ///< at most one of the two; of them none: "client.ID secret", where `id` is
  bool define_secret = false;
  std::string data_pool;  ///< for the data of new volumes; empty: the pool itself
};

struct FleetDisk {
  std::string dev;  ///< libvirt's target: "vda"
  VolumeName target;
  /// A snapshot, "rbd:POOL/IMAGE@SNAPSHOT", of which the volume becomes a clone; empty: none.
  std::string base = {};
};

enum class FleetTask {
  kMove,      ///< of a guest to its volumes
  kSparsify,  ///< of one volume, in place
};

/// One guest that moves, or one volume: that has its RbdLocation::display() for a name, and one
/// disk without `dev`; what is libvirt's is empty then.
struct FleetJob {
  std::string name;     ///< libvirt's
  std::string connect;  ///< libvirt URI of its host, from where the plan was made
  std::string host;     ///< libvirt's hostname (virConnectGetHostname): who works there takes it
  std::string uuid;     ///< of the guest; no two jobs have the same
  std::string to;       ///< libvirt URI, as its host reaches it; empty: it stays on its host
  std::string target_host;                  ///< hostname of that; empty with `to`
  MigrateMode way = MigrateMode::kOffline;  ///< kLive or kOffline
  unsigned wave = 1;                        ///< 1 or more; the next one begins when this has ended
  Recovery on_death = Recovery::kAuto;      ///< kAuto, kFinish or kUndo
  uint64_t data = 0;                        ///< bytes to copy, as seen when the plan was made
  std::vector<FleetDisk> disks;             ///< one or more; no two with one target in a plan
  std::vector<std::string> remarks;         ///< for people: comments above it. Not read.
  FleetTask task = FleetTask::kMove;
  bool rewrite_only = false;  ///< MigrateRequest::rewrite_only; `way` is kOffline then
  bool shut_down = false;     ///< it may be shut down for its move; `way` is kOffline then
  bool snapshots = false;     ///< MigrateRequest::snapshots; likewise, and no disk has a base
  /// A warm move: synchronised in its wave, and cut over later. `way` is kLive then, the guest
  /// stays on its host, and no disk has a base.
  bool warm = false;
  unsigned cutover_wave = 0;  ///< of a warm one: not before `wave`; 0: in that
};

struct FleetPlan {
  std::string pool;  ///< of new volumes; what is known of the running fleet is kept there, too
  FleetCeph ceph;
  FleetLimits limits;
  std::vector<FleetJob> jobs;
  std::vector<std::string> head;  ///< for people: comments at the beginning. Not read.
  std::vector<std::string> tail;  ///< likewise at the end
};

/// The plan as text. What is not in it is left out, but for limits that a person may look for.
std::string write_plan(const FleetPlan& plan);

/// The plan that a text is, all of it checked as far as that goes without asking a host: no job is
/// there twice, no volume is the target of two disks, no two guests of one name go to one host.
/// `name` is what messages call the text. Throws Error: kUsage for what is wrong, whose object is
/// NAME:LINE and whose hint has further ones; kUnsupported for a newer format or too long a text.
FleetPlan read_plan(std::string_view text, const std::string& name);

/// What `vmferry migrate` is asked for to do a job, without what belongs to the host that does it
/// (MigrateRequest::from is the job's `connect`; ceph_conf, keyring and overlay_dir are empty).
MigrateRequest migrate_request(const FleetPlan& plan, const FleetJob& job);

/// Guests whose names fit a pattern ("web*", as fnmatch(3) has it) move in a wave.
struct FleetWaveRule {
  std::string pattern;
  unsigned wave = 1;
};

/// Which guests a plan is made for, and how they shall move.
struct FleetRequest {
  std::vector<std::string> hosts;   ///< libvirt URIs
  std::vector<std::string> guests;  ///< names, on whatever host; empty: all persistent ones
  std::string pool;
  std::string to;  ///< libvirt URI, as their hosts reach it; empty: none moves
  MigrateMode way = MigrateMode::kAuto;   ///< kAuto: live if it runs and that is possible
  bool warm = false;                      ///< those that run: FleetJob::warm; the others offline
  bool rewrite_only = false;              ///< of all: FleetJob::rewrite_only
  bool snapshots = false;                 ///< of all that move offline: FleetJob::snapshots
  std::vector<FleetWaveRule> waves = {};  ///< the first that fits counts
  /// Of the other guests so many move in each wave, from the first one on, of all hosts in turn; 0:
  /// all in the first.
  unsigned wave_size = 0;
  std::string name_template = "{domain}-{dev}";
  FleetCeph ceph;
  FleetLimits limits;
};

/// A plan to sparsify all volumes of a pool.
struct FleetSparsifyRequest {
  std::string pool;
  std::vector<std::string> hosts;  ///< whose workers do it, in turn; one or more
  FleetCeph ceph;                  ///< only `id`
  FleetLimits limits;
};

struct FleetContext {
  /// The cluster, and this machine's files: of hosts with a local URI images are looked at, too.
  MigrationStorage* storage = nullptr;
  std::function<std::shared_ptr<Host>(const std::string& uri)> connect = connect_host;
  std::stop_token stop = {};
};

/// A guest that cannot move as things are.
struct FleetRefusal {
  std::string guest;
  std::string host;
  std::vector<std::string> reasons;  ///< one or more, each with what to do about it
};

/// What asking every host brought.
struct FleetSurvey {
  /// The jobs that are possible, by host and name, with what a person should know as remarks.
  FleetPlan plan;
  std::vector<FleetRefusal> refused;
  std::vector<std::string> left_out;  ///< "web9 on h1: all of its disks are on RBD"
  /// What is wrong with the whole: hosts that could not be asked, guests that no host has, a pool
  /// without room for all. Empty: nothing.
  std::vector<std::string> troubles;
  std::vector<std::string> sums;  ///< data, room, time, images that guests share: lines for people
};

/// Connects to every host, several at once, and plans the move of each guest; changes nothing. A
/// host that cannot be asked is among the troubles, and stops no other. The plan's head and tail
/// are the rest of the answer. Throws Error where there can be no plan at all: the cluster cannot
/// be reached, there is no such pool, a name template that makes no sense.
FleetSurvey plan_fleet(const FleetRequest& request, const FleetContext& context);

/// Lists the volumes of a pool and deals them out. One that is in use is planned with a remark: its
/// turn may come when it is not. Throws as plan_fleet().
FleetSurvey plan_sparsify(const FleetSparsifyRequest& request, const FleetContext& context);

/// Asks again for the jobs of a plan: what is possible now, as the plan has it, with the amount of
/// data of now. Throws as plan_fleet().
FleetSurvey check_fleet(const FleetPlan& plan, const FleetContext& context);

}  // namespace VMFERRY_API vmferry
