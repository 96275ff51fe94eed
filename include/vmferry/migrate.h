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
#include <vector>

#include "vmferry/api.h"
#include "vmferry/call_trace.h"
#include "vmferry/ceph.h"
#include "vmferry/copy.h"
#include "vmferry/domain.h"
#include "vmferry/format.h"
#include "vmferry/host.h"
#include "vmferry/location.h"
#include "vmferry/migration_storage.h"
#include "vmferry/observer.h"

// Moving a virtual machine's disks to Ceph (and within it, and back). Facts are gathered, a pure
// function makes a plan of them, a small loop executes the plan and keeps a journal of it; whoever
// finds that journal later can finish or undo the run.

namespace VMFERRY_API vmferry {

/// What is done while something long runs. Calls come from the thread that executes; only those of
/// phases, which copies and comparisons are, from another one while that waits, or warns.
class MigrationObserver : public Observer {
 public:
  /// A step begins or was undone: one line for a person.
  virtual void step(const std::string& text) = 0;
  virtual void warning(const std::string& text) = 0;
  /// A libvirt job's progress (bytes). dirty_rate is 0 where libvirt tells none.
  virtual void job(const std::string& what, uint64_t done, uint64_t total, uint64_t dirty_rate) = 0;
  virtual void job_ended() = 0;
};

enum class MigrateMode { kAuto, kLive, kOffline };
enum class MigrateMethod { kAuto, kStaged, kMirror };

/// How the disks of a move are copied, once it is known.
enum class CopyMethod {
  kOffline,   ///< while the guest is shut off
  kStaged,    ///< under a running guest, which writes to overlays meanwhile
  kMirrored,  ///< by the QEMU of a running guest
};
constexpr bool is_live(CopyMethod method) { return method != CopyMethod::kOffline; }

/// What a plan is for. All but the first are runs of a warm move (vmferry/sync.h).
enum class RunKind {
  kMove,     ///< all of a move
  kSync,     ///< the volumes get what the disks hold, and the guest stays where it is
  kCutover,  ///< the guest goes to the volumes
  kStop,     ///< the guest is left on its old disks
};

struct MigrateRequest {
  std::string domain;
  std::string uuid;  ///< not empty: only the domain with this one
  std::string from;  ///< libvirt URI
  std::string to;    ///< libvirt URI; empty: the same host
  std::string pool;
  std::string name_template = "{domain}-{dev}";
  std::map<std::string, VolumeName> disks;  ///< by target dev; empty: every disk that can move
  /// Disks on RBD move, too: those that are named; or if there are none on files, those in other
  /// pools.
  bool volumes_move = false;
  std::map<std::string, std::string> bases;  ///< by target dev: CopyTerms::base
  std::string to_dir;                        ///< directory; not empty: from RBD to files there
  ImageLayout file_layout;                   ///< of each of those files
  std::vector<std::string> allow_files;      ///< see OpenPolicy::allowed_prefixes
  MigrateMode mode = MigrateMode::kAuto;
  MigrateMethod method = MigrateMethod::kAuto;

  std::vector<CephMonitor> monitors;  ///< for QEMU; none: ceph_conf tells, or its host's own
  std::string ceph_conf;              ///< for QEMU on the host that runs the guest
  std::string user;  ///< without "client."; empty: no authentication in the definition
  SecretName secret;
  bool define_secret = false;
  std::string keyring;  ///< with these three a recovery makes volumes as the run would have
  std::string cluster;
  std::optional<CephOptions> old_cluster;  ///< of disks on RBD that move; nothing: it is the same
  RbdLayout layout;

  std::string overlay_dir;  ///< empty: beside the image
  std::optional<uint64_t>
      overlay_max;  ///< bytes per disk; nothing: what the file system has, less a reserve
  bool quiesce = false;
  uint64_t bandwidth = 0;           ///< bytes a second
  std::chrono::seconds timeout{0};  ///< for the live copy; 0: none
  std::chrono::seconds shutdown_timeout{120};
  uint64_t max_downtime_ms = 0;
  unsigned parallel = 0;
  bool auto_converge = false;
  bool synchronous_writes = false;
  std::string migration_uri;
  std::string listen_address;
  bool tls = false;
  bool force_off = false;
  bool no_shutdown = false;         ///< of an offline move: a guest that runs is refused
  bool snapshots = false;           ///< those inside of the images are copied, too
  bool chain_as_snapshots = false;  ///< the layers of their backing chains likewise
  /// The volumes are there, and hold what the disks do, which is compared while the guest is off;
  /// nothing is copied.
  bool rewrite_only = false;
  bool delete_source = false;
  bool keep_source_definition = false;

  bool to_other_host() const { return !to.empty(); }
  bool to_files() const { return !to_dir.empty(); }
  /// States that the disks had before go with them.
  bool takes_history() const { return snapshots || chain_as_snapshots; }
};

/// The answer to one check.
struct Check {
  enum class Result { kPassed, kWarning, kFailed };
  std::string name;
  Result result = Result::kPassed;
  std::string message;
  std::string hint;
};

struct Step {
  std::string name;  ///< what journals call it: "copy-frozen"
  std::string text;  ///< what it does
  std::string undo;  ///< how it is undone; empty: there is nothing to undo
  /// Where the point of no return is: "from here on only forward", "when that is done, only
  /// forward". Empty: not here.
  std::string no_return;
};

/// One disk that moves.
struct MovingDisk {
  std::string dev;
  std::string original;  ///< what the definition calls its image (DiskImage::display)
  HostImage image;       ///< where it is (or, to files, where it goes): a file or a volume
  VolumeName volume;
  uint64_t size = 0;    ///< bytes that the guest sees
  uint64_t data = 0;    ///< bytes that are allocated now
  std::string overlay;  ///< staged: what the guest writes while its disk is copied
  std::string bridge;   ///< staged: the overlay over the volume
  /// Of a first sync while its overlay is committed: the one that takes its place; else empty.
  std::string next_overlay = {};
  /// Of a warm move after its first sync: what it was on before that. The guest's overlay over it
  /// is its `original` and `image` then; a volume has none between two runs, and is both.
  std::string first = {};
  std::optional<HostImage> first_image = {};
};

/// Which host it is. libvirt makes a UUID up at each start where the firmware has none, and names
/// change: it is another one if both differ.
struct HostIdentity {
  std::string hostname;
  std::string uuid;
};

struct Plan {
  RunKind kind = RunKind::kMove;
  unsigned round = 0;  ///< of a warm move: the sync that it is, or else the last one; 0: none
  MigrateRequest request;
  std::string uuid;
  HostIdentity source_host;
  HostIdentity target_host;
  CopyMethod method = CopyMethod::kOffline;
  bool was_running = false;
  bool autostart = false;
  std::string original_persistent;  ///< migratable
  std::vector<MovingDisk> disks;
  std::vector<std::string> stays;  ///< "sda: a cdrom", for people
  /// Names of those that libvirt knows of, and that go with the disks.
  std::vector<std::string> snapshots;
  std::vector<Check> checks;
  std::vector<Step> steps;
  double expected_seconds = 0;

  bool possible() const;  ///< no check failed
};

struct MigrateReport {
  struct Disk {
    std::string dev;
    std::string from;
    std::string to;
    std::string format;  ///< of what it is on now, as libvirt calls it
    Usage before;
    Usage after;
    CopyDone copy;  ///< by this run; QEMU's own copies are not among them
    /// Of a file that is left. Nothing: there is none, or it was not looked at (see
    /// HostImage::identity).
    std::optional<OldFile> old = {};
  };
  enum class End {
    kUndone,
    kMoved,
    kLeft,     ///< the machine is gone: nothing was done, and what the run made is where it was
    kSynced,   ///< the volumes have what the disks held; the state of the warm move tells more
    kStopped,  ///< the warm move is ended, and the guest on its old disks
  };
  End end = End::kUndone;
  std::vector<Disk> disks;
  std::vector<std::string> kept;  ///< old files that are left, and safe to remove
  /// Files with what libvirt knew of the snapshots, of which it knows no longer.
  std::vector<std::string> forgotten;
  /// How long the guest did not run: as QEMU told of one that left for another host, or from the
  /// first word to shut down until it was started. Nothing: it is not known, or was not stopped.
  std::optional<uint64_t> downtime_ms;
  double seconds = 0;
};

/// How long a run waits for what others do. Tests wait less.
struct Patience {
  std::chrono::milliseconds poll{50};    ///< between two questions how far a job is, at most
  std::chrono::milliseconds watch{100};  ///< between two looks around while a call blocks
  /// A job that is ready may still refuse to pivot: libvirt's event is on its way.
  std::chrono::milliseconds pivot{20'000};
  /// A dead OSD holds the end of a block job up for as long as it is dead.
  std::chrono::milliseconds abort_job{60'000};
  /// What a run asked of libvirt just before it was killed may not have begun yet: libvirt has to
  /// be seen idle for as long as this before a recovery looks how things are.
  std::chrono::milliseconds settle{1'000};
  /// Before the half-made domain at the target of an aborted migration is looked at.
  std::chrono::milliseconds abort_migration{15'000};
  /// A client that died counts for some 30 s as one that has a volume open.
  std::chrono::milliseconds ghost{45'000};
  /// What all limits of time are measured with. Called by any thread of the run.
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

/// The two sides and everything else that a run works with.
struct MigrateContext {
  std::shared_ptr<Host> source;
  std::shared_ptr<Host> target;  ///< the same object as source on one host
  MigrationStorage* storage = nullptr;
  MigrationObserver* observer = nullptr;
  std::string state_dir;
  std::stop_token stop;
  Patience patience = {};
  /// It is only planned here, and will be run on the host of the guest.
  bool run_at_source = false;
  /// Writes the record of a complete move into that file, before its journal goes; where the move
  /// is undone after all, the file is removed. May be empty; must not throw.
  std::function<void(const struct MigrateReport&, const std::string& path)> keep_record = {};
  /// If not empty, it takes the place of MigrateRequest::bandwidth, and counts for copies that run,
  /// too; a guest that leaves for another host keeps the rate with which it began.
  RateNow rate = {};
};

/// Gathers the facts and makes the plan. Changes nothing (a test object in the pool comes and
/// goes). Throws only where not even a plan can be made: no such domain, no connection.
Plan plan_migration(const MigrateRequest& request, const MigrateContext& context);

/// Where journals are unless said otherwise: of root in /var/lib/vmferry.
std::string default_state_dir();

/// Where log_calls() writes what the moves of the domain asked of libvirt.
std::string call_log_path(const std::string& domain, const std::string& state_dir);
/// Where the record of a move of the domain goes that ended at `time` ("2026-11-27 16:01:02Z").
std::string record_path(const std::string& domain, const std::string& state_dir,
                        const std::string& time);
/// A trace that goes on in the file at `path` (none if empty), beginning with the line `first`, and
/// gives lines to `console` (may be empty), also from threads of its own. The file is made once
/// there is a step, a change or a call that takes long; only its owner may read it. What cannot be
/// written is lost.
std::shared_ptr<CallTrace> log_calls(const std::string& path, const std::string& first,
                                     std::function<void(const std::string&)> console);

/// Executes a plan that is possible(). On failure or stop before the point of no return everything
/// is undone and the first error thrown, its hint naming whatever could not be undone.
MigrateReport execute_migration(const Plan& plan, const MigrateContext& context);

enum class Recovery {
  kAuto,  ///< kFinish if the guest depends on its new disks, or there is a copy to go on with
  kFinish,
  kUndo,
  kStay,  ///< finish the move of the disks; the guest stays on the host where it is
};
/// The request of a run that was killed, from its journal. Throws kNotFound: there is none.
MigrateRequest recorded_request(const std::string& domain, const std::string& state_dir);
/// How the guest stands and how that run can be ended while its other host does not answer, for a
/// person: with the commands. context.target is context.source. Empty: it cannot. Throws Error.
std::string without_target(const std::string& domain, const MigrateContext& context);
/// Ends that run in this way. `request` is the recorded one, perhaps with other addresses, limits
/// or ways to migrate; without `to`, the recorded one counts. Throws kConflict where it cannot end
/// so; the hint says how it can. With kStay and kUndo context.target may be context.source: the
/// other host cannot be asked.
MigrateReport recover_migration(const MigrateRequest& request, Recovery recovery,
                                const MigrateContext& context);

}  // namespace VMFERRY_API vmferry
