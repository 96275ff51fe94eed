// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

class Host;

enum class DomainState {
  kAbsent,   ///< no domain of that name
  kShutOff,  ///< defined, not running
  kRunning,
  kPaused,
  kOther,  ///< shutting down, crashed, suspended by its own power management
};

/// Which text of a domain's definition.
enum class DefinitionKind {
  kLive,                  ///< with runtime facts: aliases, backing chains, running jobs
  kPersistent,            ///< what the next start uses
  kMigratable,            ///< live, without runtime facts: what a migration sends
  kMigratablePersistent,  ///< persistent, likewise
};

/// Sizes of one disk of a domain, in bytes.
struct DiskSizes {
  uint64_t capacity = 0;    ///< what the guest sees, exactly
  uint64_t allocation = 0;  ///< what is in use on the host
};

/// What libvirt keeps of a snapshot of a domain, beside the disks.
struct KnownSnapshot {
  std::string name;
  std::string definition;  ///< <domainsnapshot>: all that it takes to tell libvirt of it again
  bool current = false;    ///< the one that the domain was at last
};

/// A running block job (virDomainGetBlockJobInfo; `ready` from the definition's <mirror ready=>).
struct BlockJob {
  enum class Kind { kCopy, kActiveCommit, kCommit, kOther };
  Kind kind = Kind::kOther;
  uint64_t done = 0;   ///< bytes
  uint64_t total = 0;  ///< bytes
  bool ready = false;  ///< both sides are equal and kept so: it can pivot
  /// Of a copy, what it copies to: a path, or "POOL/IMAGE". Empty: libvirt does not tell.
  std::string target = {};
};

/// How far a migration is (virDomainGetJobStats).
struct MigrationStats {
  uint64_t done = 0;        ///< bytes
  uint64_t total = 0;       ///< bytes
  uint64_t dirty_rate = 0;  ///< bytes of memory a second
};

/// Flags of block_copy.
struct BlockCopyOptions {
  bool shallow = false;    ///< only what the topmost image holds
  uint64_t bandwidth = 0;  ///< bytes a second; 0: no limit
  bool synchronous_writes = false;
};

/// A live migration. Both definitions name the same machine as the source (name and UUID).
struct LiveMigration {
  std::string destination;              ///< the definition that the target starts with
  std::string persistent;               ///< the definition that the target keeps
  std::vector<std::string> copy_disks;  ///< target devs to copy through NBD; empty: shared storage
  std::string migration_uri;            ///< "" : libvirt chooses
  std::string listen_address;  ///< of the target's NBD and migration ports; "": libvirt's own
  bool tls = false;
  uint64_t bandwidth = 0;  ///< bytes a second; 0: no limit
  bool auto_converge = false;
  unsigned parallel = 0;  ///< connections for memory; 0: one, without multifd
  bool synchronous_writes = false;
  uint64_t max_downtime_ms = 0;  ///< 0: QEMU's own
};

/// What a guest says on a console, from the moment on that it was opened. One thread.
class GuestConsole {
 public:
  virtual ~GuestConsole() = default;
  /// What came since it was asked last, of much the end only. Waits for nothing. The bytes are the
  /// guest's own: they may be anything.
  virtual std::string read() = 0;
};

/// What is on a guest's screen.
struct Screenshot {
  std::string type;   ///< as libvirt tells it: "image/x-portable-pixmap"
  std::string bytes;  ///< the picture
};

/// The domain of one name on one host, whether there is one or not: it is looked up at each call,
/// as domains come and go. Host::guest() gives it; it outlives the Host. `dev` is a disk's target
/// ("vda"). Every method may be called from any thread, some may take long or hang with the
/// cluster. All of them throw Error; kNotFound where there is no such domain, unless said
/// otherwise. The real one is lib/libvirt/libvirt_guest.cpp; tests have a fake that fails or hangs
/// any call.
class Guest {
 public:
  virtual ~Guest() = default;

  virtual DomainState state() = 0;
  virtual std::string uuid() = 0;  ///< "" if absent
  virtual bool persistent() = 0;
  virtual std::string definition(DefinitionKind kind) = 0;
  virtual DiskSizes disk_sizes(const std::string& dev) = 0;
  virtual unsigned snapshots() = 0;                          ///< how many libvirt knows of
  virtual std::vector<KnownSnapshot> known_snapshots() = 0;  ///< each after its parent
  /// Takes from libvirt what it knows of that snapshot; its disks stay as they are. Children that
  /// are left become those of its parent, which also becomes the current one if this was it.
  virtual void forget_snapshot(const std::string& name) = 0;
  /// Tells libvirt of a snapshot that it knew of before, or anew of one that it knows. REQUIRES: it
  /// knows of the parent.
  virtual void tell_snapshot(const KnownSnapshot& snapshot) = 0;
  virtual std::vector<std::string> checkpoints() = 0;  ///< their names
  /// Did it go off by having its memory saved, managed or to a file (virDomainGetState's reason)?
  /// Its next start has to take that memory up again.
  virtual bool was_saved() = 0;
  /// Is it paused because its start has not ended (virDomainGetState's reason)? It stays so where
  /// libvirt's daemon died meanwhile, and has run no instruction. Who pauses it gives it another
  /// reason. An absent one is not.
  virtual bool starting() = 0;
  virtual bool has_job() = 0;
  /// Is libvirt at something that was asked of this domain, maybe by a client that is gone since
  /// (virDomainGetControlInfo)? What the domain looks like may change any moment then. An absent
  /// one is not.
  virtual bool busy() = 0;
  virtual bool autostart() = 0;
  virtual void set_autostart(bool on) = 0;
  virtual bool agent_answers() = 0;

  virtual void undefine() = 0;  ///< keeps NVRAM and managed save files; its checkpoints' names go
  virtual void start(bool paused) = 0;
  virtual void shut_down() = 0;  ///< asks; does not wait
  virtual void destroy() = 0;    ///< pulls the plug; stays defined
  /// QEMU's own word for the state of an active domain (query-status): "running", "paused",
  /// "prelaunch" (started paused, no instruction ran yet), "inmigrate" (the target of a migration
  /// that has not arrived) and others.
  virtual std::string run_state() = 0;

  // What a person would look at.
  /// Its first serial console. Whoever else has that open is thrown out.
  virtual std::unique_ptr<GuestConsole> open_console() = 0;
  virtual Screenshot screenshot() = 0;  ///< of its first screen
  /// How long its agent may take for an answer, from now on.
  virtual void limit_agent(std::chrono::seconds limit) = 0;

  // Disks of a running domain.
  virtual void snapshot(const std::string& snapshot_definition, bool quiesce) = 0;
  virtual void block_copy(const std::string& dev, const std::string& disk,
                          const BlockCopyOptions& options) = 0;
  /// `bandwidth`: bytes a second; 0: no limit.
  virtual void commit_active(const std::string& dev, uint64_t bandwidth) = 0;
  /// Of the image `top`, which is below the one that the guest writes to, into `base` below that.
  /// The job ends by itself, and `top` has left the chain then. Both as the definition names them.
  virtual void commit_layer(const std::string& dev, const std::string& top,
                            const std::string& base) = 0;
  virtual std::optional<BlockJob> block_job(const std::string& dev) = 0;
  /// Of a job that runs: bytes a second; 0: no limit.
  virtual void limit_block_job(const std::string& dev, uint64_t bandwidth) = 0;
  virtual void pivot(const std::string& dev) = 0;
  virtual void abort_block_job(const std::string& dev) = 0;
  /// Discards of the guest give back room in the image that the disk is on now, unless its
  /// definition says otherwise. libvirt opened that image for a block job, with what was said of
  /// the old one, and cannot change it.
  virtual void let_discard(const std::string& dev) = 0;

  /// Closes the RBD volume in the domain's QEMU if nothing uses it there: a libvirt that was killed
  /// in the middle of a block copy may leave it open.
  virtual void close_unused_volume(const std::string& pool, const std::string& image) = 0;

  // Migration of a running domain.
  /// Why QEMU would not let it go to another host now (query-migrate).
  virtual std::vector<std::string> migration_blockers() = 0;
  /// To `target`, which is of the same kind as this one's host; blocks until it ended.
  virtual void migrate(Host& target, const LiveMigration& migration) = 0;
  virtual std::optional<MigrationStats> migration_stats() = 0;
  virtual void abort_migration() = 0;
  /// Milliseconds that the guest stood still in its last migration to this host; nothing: not told.
  virtual std::optional<uint64_t> last_downtime() = 0;
};

}  // namespace VMFERRY_API vmferry
