// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/domain/snapshot_facts.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"
#include "vmferry/sync_state.h"

// What is known before anything is changed. Gathering does I/O and judges nothing; the plan judges
// and does no I/O.

namespace vmferry::migrate {

/// Something that was tried: empty is success.
struct Trial {
  std::string failure = {};
  std::string hint = {};
  bool ok() const { return failure.empty(); }
};

/// Who stops a run wants no answers. REQUIRES: `error` is being handled.
inline void pass_on_cancelled(const Error& error) {
  if (error.kind() == ErrorKind::kCancelled) {
    throw;
  }
}

/// Runs `attempt` and turns its Error into an answer; kCancelled passes.
template <typename Attempt>
Trial attempt(Attempt&& attempt) {
  try {
    attempt();
    return {};
  } catch (const Error& error) {
    pass_on_cancelled(error);
    return {.failure = error.what(), .hint = error.hint()};
  }
}

struct DiskFacts {
  DomainDisk disk;
  MovingDisk move;
  Trial problem;                 ///< why it cannot even be looked at
  std::optional<FileLook> look;  ///< of its image; nothing: on another host, or no file
  ImageParts parts;              ///< likewise
  uint64_t states = 0;           ///< bytes of all its states that move, at the least
  std::string source_stays;      ///< asked with delete_source: why the old disk is not deleted
  std::optional<Usage> volume;   ///< of that name already there (to RBD)
  std::string base;              ///< the snapshot that its volume shall share; empty: none
  Trial base_access;             ///< whether it can be read
  bool file_taken = false;       ///< the target file exists already (to files)
  bool overlay_taken = false;    ///< an overlay of that name exists already (staged)
  uint64_t overlay_room = 0;     ///< bytes free where it grows
  bool job_running = false;
};

enum class SecretState {
  kMatches,
  kWillBeDefined,
  kMissing,
  kNoValue,
  kDiffers,
  kPrivate,     ///< nobody can compare its value
  kUncompared,  ///< there is no key to compare it with
  kOtherUse,    ///< it is not for Ceph: nobody's to change
  kNoDriver,    ///< that libvirt has no secrets at all
  kUnasked,     ///< it could not be asked
  kNoKey,       ///< it shall be defined, and there is no key to put into it
};

struct SecretFacts {
  std::string host;
  SecretState state = SecretState::kUnasked;
  std::string detail = {};  ///< what it is for, or why it could not be told
};

/// A disk that a machine that goes to another host does not take along.
struct LeftDisk {
  enum class Reach {
    kNotLooked,    ///< the host's files cannot be looked at from here
    kNotSeen,      ///< no such file on this machine
    kLocalFile,    ///< on a file system that no other host mounts
    kSameMachine,  ///< likewise, and the target is this machine
    kSharedFile,
    kDevice,  ///< a block device
    kBound,   ///< hardware, or a process of the host
  };
  std::string dev;
  std::string image;
  std::string why;           ///< it cannot move; empty: it was not asked to
  bool stored_only = false;  ///< the running machine has it not
  bool transient = false;
  Reach reach = Reach::kNotLooked;
  Trial look;
};

/// What is asked before a machine goes to another host.
struct LeavingFacts {
  std::vector<LeftDisk> left;
  std::vector<std::string> blockers;  ///< QEMU's
  Trial asked;                        ///< QEMU, for them
  Trial certificates;
  std::string endpoint;  ///< where the guest is sent; empty: libvirt chooses
  bool tried = false;    ///< whether that answers, was tried
  Trial route;
};

/// Names of what a staged move makes beside images end so.
inline constexpr const char* kOverlaySuffix = ".vmferry-overlay.qcow2";
inline constexpr const char* kBridgeSuffix = ".vmferry-bridge.qcow2";

/// Which run of a warm move is planned. By itself: none.
struct WarmRun {
  RunKind kind = RunKind::kMove;
  unsigned round = 0;  ///< Plan::round
  /// As the run before left it. Of a move of its own: that there is one at all.
  std::optional<SyncState> state = {};
  bool before_sync = false;  ///< of a cutover: another sync comes first
};

/// Names of the overlays of a warm move have this in them, and the number of the sync.
inline constexpr const char* kSyncOverlay = ".vmferry-sync-";

struct Facts {
  WarmRun warm;
  std::vector<Check> warm_checks;  ///< what became of it since, and what it cannot do
  HostFacts source;
  HostFacts target;        ///< = source on one host
  bool run_there = false;  ///< the move will be run on the source host, which is not this one

  DomainState state = DomainState::kAbsent;
  bool persistent = true;
  bool autostart = false;
  unsigned snapshots = 0;  ///< that libvirt knows of
  /// What it knows of them; asked where they shall go with the disks.
  std::vector<DomainSnapshot> known_snapshots;
  Trial snapshots_read;
  std::vector<std::string> checkpoints;
  bool saved = false;
  bool migrating = false;
  bool failed_to_write = false;  ///< QEMU paused it, as there was no room
  bool agent = false;            ///< asked only where quiescing was asked for
  Domain live;                   ///< of a domain that does not run: the persistent one
  Domain stored;                 ///< the persistent one
  std::string migratable_live;
  std::string migratable_stored;

  std::string recovery;  ///< the command that ends a run that was killed

  DomainState state_at_target = DomainState::kAbsent;
  std::string uuid_at_target;  ///< of the domain with our name there; "" if none
  std::string name_at_target;  ///< of the domain with our UUID there; "" if none
  std::vector<std::string> missing_networks;
  std::vector<std::string> missing_media;  ///< looked at only where the target is this machine

  LeavingFacts leaving;

  std::vector<DiskFacts> disks;    ///< those that shall move
  std::vector<std::string> stays;  ///< "sda: it is a cdrom"
  Trial choice;                    ///< of the disks

  std::optional<uint64_t> file_room;  ///< bytes free where files go (to files)

  std::map<std::string, PoolFacts> pools;  ///< of all volumes, as far as access is ok
  Trial access;                            ///< to the cluster, with the guest's user, in every pool
  std::vector<SecretFacts> secrets;        ///< on each host that needs it
  Trial rewriting;
  std::string rewritten_live;
  std::string rewritten_stored;
  Trial target_takes_live;
  Trial target_takes_stored;
};

/// How the disks are copied: a pure function of the request and a few facts.
CopyMethod choose_method(const MigrateRequest& request, DomainState state, const HostFacts& source);

/// The secret of the request on that host, compared with the key in the keyring.
SecretFacts look_at_secret(Host& host, const HostFacts& about, const MigrateRequest& request,
                           MigrationStorage& storage);

/// Fills facts.leaving. The rest of the facts about the domain and the disks is there already.
void gather_leaving(const MigrateRequest& request, const MigrateContext& context, CopyMethod method,
                    Facts& facts);

/// Fills `disk`, one of facts.disks, of which it is known what shall become of it. What goes wrong
/// is its problem. What is known of the domain and the hosts is in `facts` already; the room for
/// files is added.
void look_at_disk(const MigrateRequest& request, const MigrateContext& context, CopyMethod method,
                  Facts& facts, DiskFacts& disk);

Facts gather_facts(const MigrateRequest& request, const MigrateContext& context, WarmRun warm = {});

/// The disks of facts.warm.state among facts.disks get what is below their overlays; fills
/// facts.warm_checks (sync_facts.cpp).
void gather_warm(const MigrateRequest& request, const MigrateContext& context, Facts& facts);
/// May the warm move be given up: is it the same machine, and are its overlays as the last sync
/// left them?
std::vector<Check> check_may_stop(const SyncState& state, const Domain& live, const HostFacts& host,
                                  MigrationStorage& storage);
/// "vmferry cutover web1", with the state directory where it is another one.
std::string warm_command(const std::string& command, const std::string& domain,
                         const std::string& state_dir);

/// The pure part of plan_migration.
Plan make_plan(const MigrateRequest& request, const Facts& facts);
std::vector<Check> make_checks(const MigrateRequest& request, const Facts& facts,
                               CopyMethod method);

/// Where the disk of a request goes, for the definition.
DiskTarget disk_target(const MigrateRequest& request, const MovingDisk& disk);

}  // namespace vmferry::migrate
