// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
};

/// One guest that moves.
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

}  // namespace VMFERRY_API vmferry
