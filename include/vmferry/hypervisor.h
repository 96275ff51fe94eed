// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

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

/// A running block job (virDomainGetBlockJobInfo; `ready` from the definition's <mirror ready=>).
struct BlockJob {
  enum class Kind { kCopy, kActiveCommit, kOther };
  Kind kind = Kind::kOther;
  uint64_t done = 0;   ///< bytes
  uint64_t total = 0;  ///< bytes
  bool ready = false;  ///< both sides are equal and kept so: it can pivot
  /// Of a copy, what it copies to: a path, or "POOL/IMAGE". Empty: libvirt does not tell.
  std::string target = {};
};

/// How far a migration is (virDomainGetJobStats). Bytes, milliseconds.
struct MigrationStats {
  uint64_t done = 0;
  uint64_t total = 0;
  uint64_t dirty_rate = 0;  ///< bytes of memory a second
};

/// A Ceph secret: what a guest needs to log in. Exactly one of the two names it.
struct SecretName {
  std::string uuid;
  std::string usage;
};

/// What a libvirt host has under such a name.
struct FoundSecret {
  /// What else it is for, as libvirt calls it ("volume /srv/luks.img"); empty: for Ceph.
  std::string other_use = {};
  bool is_private = false;              ///< libvirt tells nobody its value, nor whether it has one
  std::optional<std::string> key = {};  ///< nothing: it has no value, or a private one
};

struct HostFacts {
  std::string uri;
  std::string hostname;
  std::string uuid;                ///< of the host; "" where it has none
  unsigned long libvirt = 0;       ///< major * 1000000 + minor * 1000 + release
  unsigned long hypervisor = 0;    ///< QEMU's, likewise
  bool local = false;              ///< the connection is to a daemon on this machine
  std::optional<bool> rbd_driver;  ///< has its QEMU one? Nothing: it cannot be told from here
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

/// One libvirt host: the few calls that a migration needs. Every method may be called from any
/// thread, some may take long or hang with the cluster; all of them throw Error. `domain` is a
/// domain's name. The real one is lib/libvirt/libvirt_host.cpp; tests have a fake that fails or
/// hangs any call.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  virtual HostFacts facts() = 0;

  // Domains.
  virtual DomainState state(const std::string& domain) = 0;
  virtual bool persistent(const std::string& domain) = 0;
  virtual std::string definition(const std::string& domain, DefinitionKind kind) = 0;
  virtual std::string uuid_of(const std::string& domain) = 0;     ///< "" if absent
  virtual std::vector<std::string> domains() = 0;                 ///< all, also transient ones
  virtual std::vector<std::string> active_domains() = 0;          ///< those that run or are paused
  virtual std::string name_of_uuid(const std::string& uuid) = 0;  ///< "" if absent
  virtual DiskSizes disk_sizes(const std::string& domain, const std::string& dev) = 0;
  virtual unsigned snapshots(const std::string& domain) = 0;
  virtual std::vector<std::string> checkpoints(const std::string& domain) = 0;  ///< their names
  /// Did it go off by having its memory saved, managed or to a file (virDomainGetState's reason)?
  /// Its next start has to take that memory up again.
  virtual bool was_saved(const std::string& domain) = 0;
  virtual bool has_job(const std::string& domain) = 0;
  /// Is libvirt at something that was asked of this domain, maybe by a client that is gone since
  /// (virDomainGetControlInfo)? What the domain looks like may change any moment then.
  virtual bool busy(const std::string& domain) = 0;
  virtual bool autostart(const std::string& domain) = 0;
  virtual void set_autostart(const std::string& domain, bool on) = 0;
  virtual bool agent_answers(const std::string& domain) = 0;

  virtual void define(const std::string& definition) = 0;
  virtual void undefine(const std::string& domain) = 0;  ///< keeps NVRAM and managed save files;
                                                         ///< its checkpoints' names go
  virtual void start(const std::string& domain, bool paused) = 0;
  virtual void shut_down(const std::string& domain) = 0;  ///< asks; does not wait
  virtual void destroy(const std::string& domain) = 0;    ///< pulls the plug; stays defined
  /// QEMU's own word for the state of an active domain (query-status): "running", "paused",
  /// "prelaunch" (started paused, no instruction ran yet), "inmigrate" (the target of a migration
  /// that has not arrived) and others.
  virtual std::string run_state(const std::string& domain) = 0;

  // Disks of a running domain.
  virtual void snapshot(const std::string& domain, const std::string& snapshot_definition,
                        bool quiesce) = 0;
  virtual void block_copy(const std::string& domain, const std::string& dev,
                          const std::string& disk, const BlockCopyOptions& options) = 0;
  virtual void commit_active(const std::string& domain, const std::string& dev,
                             uint64_t bandwidth) = 0;
  virtual std::optional<BlockJob> block_job(const std::string& domain, const std::string& dev) = 0;
  virtual void pivot(const std::string& domain, const std::string& dev) = 0;
  virtual void abort_block_job(const std::string& domain, const std::string& dev) = 0;
  /// Discards of the guest give back room in the raw image that the disk is on now, unless its
  /// definition says otherwise. libvirt opened that image for a block job, with what was said of
  /// the old one, and cannot change it.
  virtual void let_discard(const std::string& domain, const std::string& dev) = 0;

  /// Closes the RBD volume in the domain's QEMU if nothing uses it there: a libvirt that was killed
  /// in the middle of a block copy may leave it open.
  virtual void close_unused_volume(const std::string& domain, const std::string& pool,
                                   const std::string& image) = 0;

  /// Why QEMU would not let the running domain go to another host now (query-migrate).
  virtual std::vector<std::string> migration_blockers(const std::string& domain) = 0;
  // Migration of a running domain to `target`; blocks until it ended.
  virtual void migrate(const std::string& domain, Hypervisor& target,
                       const LiveMigration& migration) = 0;
  virtual std::optional<MigrationStats> migration_stats(const std::string& domain) = 0;
  virtual void abort_migration(const std::string& domain) = 0;
  /// Milliseconds that the guest stood still in its last migration to this host; nothing: not told.
  virtual std::optional<uint64_t> last_downtime(const std::string& domain) = 0;

  // What a definition needs of this host.
  /// Would QEMU start this? Everything libvirt checks (virConnectDomainXMLToNative); defines
  /// nothing. Throws what libvirt says.
  virtual void validate(const std::string& definition) = 0;
  virtual bool network_active(const std::string& network) = 0;
  virtual std::string volume_path(const std::string& pool, const std::string& volume) = 0;
  /// Nothing: there is no such secret. Throws kUnsupported: that libvirt has no driver for secrets.
  virtual std::optional<FoundSecret> find_secret(const SecretName& secret) = 0;
  /// Makes or updates the Ceph secret and answers its UUID. Throws kConflict, and changes nothing:
  /// it is for something else.
  virtual std::string define_secret(const SecretName& secret, const std::string& key) = 0;
};

/// Connects to a libvirt host ("qemu:///system"). Throws Error: kUnsupported in a build without
/// libvirt.
std::shared_ptr<Hypervisor> connect_hypervisor(const std::string& uri);

/// Told of the calls of hosts. Any thread.
class CallTrace {
 public:
  virtual ~CallTrace() = default;
  enum class Kind { kAsks, kChanges };
  /// A call begins ("here: pivot web1 vda"). Answers what ended() is to be given.
  virtual uint64_t began(const std::string& call, Kind kind) = 0;
  virtual void ended(uint64_t id, const std::string& result) = 0;
  /// Something else that belongs between calls.
  virtual void note(const std::string& text) = 0;
};

/// The same host, of whose calls `trace` is told; `name` says which host that is. Definitions and
/// keys are not told.
std::shared_ptr<Hypervisor> trace_calls(std::shared_ptr<Hypervisor> host, std::string name,
                                        std::shared_ptr<CallTrace> trace);

}  // namespace VMFERRY_API vmferry
