// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/ceph.h"
#include "vmferry/domain.h"
#include "vmferry/host.h"
#include "vmferry/migrate.h"
#include "vmferry/migration_storage.h"

// A rehearsal: a copy of a guest is started from clones of its volumes' snapshots, beside the guest
// and without any network, to see whether it comes up. Then the copy and its clones are removed.
// All functions throw Error; one thread.

namespace VMFERRY_API vmferry {

/// A disk of the guest, as a snapshot of a volume holds it.
struct RehearsedDisk {
  std::string dev;  ///< target: "vda"
  VolumeName volume;
  std::string snapshot;
  std::string identity = {};  ///< MigrationStorage::identity of the volume; empty: any
};

/// By what a copy is taken to be up.
enum class UpSign {
  kAuto,     ///< the first of the next three that its definition lets one see
  kAgent,    ///< its guest agent answers
  kLogin,    ///< its serial console shows a login prompt
  kRunning,  ///< it has run for a while, and neither stopped nor paused
};

struct RehearsalRequest {
  std::string domain;
  std::string uuid;  ///< not empty: only the domain with this one
  std::string from;  ///< libvirt URI of the host that has the guest
  std::string to;    ///< of the host where its copy runs; empty: the same
  std::vector<RehearsedDisk> disks;

  std::vector<CephMonitor> monitors;  ///< for QEMU, as MigrateRequest has these
  std::string ceph_conf;
  std::string user;
  SecretName secret;
  CephOptions ceph;  ///< for the clones

  std::optional<uint64_t> memory;  ///< bytes, 1 MiB or more; nothing: as much as the guest has
  UpSign sign = UpSign::kAuto;
  std::chrono::seconds running{30};   ///< how long it has to run (UpSign::kRunning)
  std::chrono::seconds timeout{600};  ///< until it is up
  bool screenshot = false;            ///< take one at the end

  const std::string& target() const { return to.empty() ? from : to; }
};

/// The clones of a rehearsal. Every method may take long; throws Error.
class RehearsalStorage {
 public:
  virtual ~RehearsalStorage() = default;
  using Made = MigrationStorage::Made;

  /// As MigrationStorage::identity.
  virtual std::string identity(const VolumeName& volume) = 0;
  /// A new volume, which is a clone of `snapshot` of `base`. `made` is told its identity before it
  /// has its name.
  virtual void clone(const VolumeName& base, const std::string& snapshot, const VolumeName& volume,
                     const Made& made) = 0;
  /// A new volume with the bytes of a small file of this host, which may be in use.
  virtual void copy_file(const std::string& path, const VolumeName& volume, const Made& made) = 0;
  /// Bytes that the volume has of its own; nothing: the cluster does not tell.
  virtual std::optional<uint64_t> written(const VolumeName& volume) = 0;
  /// As MigrationStorage::remove_volume.
  virtual void remove(const VolumeName& volume, const std::string& identity) = 0;
};
/// The volumes of a cluster. `stop` ends what is waited for, but not a removal that comes after it.
/// `before_making` is called just before the first change. Both functions may be empty.
std::unique_ptr<RehearsalStorage> rehearsal_volumes(const CephOptions& ceph, std::stop_token stop,
                                                    std::function<void()> before_making,
                                                    std::function<void(const std::string&)> notice);

/// Everything else that a rehearsal works with.
struct RehearsalContext {
  /// Called anew for what is cleared up: libvirt may have been restarted meanwhile.
  std::function<std::shared_ptr<Host>(const std::string& uri)> connect;
  std::function<std::unique_ptr<RehearsalStorage>(const CephOptions& ceph)> volumes;
  std::string state_dir;
  std::stop_token stop = {};
  /// Told of each thing that is done, one line for a person. May be empty.
  std::function<void(const std::string&)> step = {};
  std::chrono::milliseconds poll{250};  ///< between two looks at the copy
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

struct RehearsalReport {
  bool came_up = false;
  UpSign sign = UpSign::kAuto;  ///< that it was waited for; not kAuto
  std::string why_not;          ///< one line; empty: it came up
  double seconds = 0;           ///< from its start until the sign, or until it was given up
  std::string name;             ///< of the copy
  std::string host;
  std::vector<std::string> snapshots;  ///< "rbd:POOL/IMAGE@SNAPSHOT", in the order of the disks
  uint64_t memory = 0;                 ///< bytes that it had
  /// Bytes of its clones' own objects; nothing: the cluster does not tell.
  std::optional<uint64_t> written = {};
  std::vector<std::string> left_out;  ///< of the definition, a line each
  std::string console;                ///< the end of what it said there: any bytes
  std::optional<Screenshot> screenshot = {};
  std::string no_screenshot;      ///< why there is none, where one was wanted
  std::vector<std::string> left;  ///< what could not be removed, a line each
};

/// Where a rehearsal writes down what it makes: STATE_DIR/DOMAIN.rehearsal.
std::string rehearsal_record_path(const std::string& domain, const std::string& state_dir);

/// What a rehearsal that was killed left is removed first. A copy that does not come up is no
/// Error: the report says so. Stopped, it clears up and throws kCancelled.
RehearsalReport rehearse(const RehearsalRequest& request, const RehearsalContext& context);

/// Removes what a rehearsal of that guest left which was killed. False: there is none.
bool clean_rehearsal(const std::string& domain, const RehearsalContext& context);

}  // namespace VMFERRY_API vmferry
