// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/migrate.h"

// What is known of a warm move between its runs: the guest runs on, writes to overlays over its old
// disks, and its volumes hold what the disks did at the last sync.

namespace VMFERRY_API vmferry {

/// One sync that is complete.
struct SyncRound {
  unsigned number = 0;    ///< from 1 on; sync_mark(number) is the snapshot of each volume
  int64_t frozen_at = 0;  ///< the moment whose state it is: seconds since 1970, UTC
  uint64_t changed = 0;   ///< bytes that were copied, of all disks together
  double seconds = 0;     ///< since its disks were first frozen, until the volumes had it
};

/// A disk of a warm move.
struct SyncedDisk {
  std::string dev;       ///< target: "vda"
  std::string original;  ///< what the definition called its image before (DiskImage::display)
  HostImage image;       ///< that image; `identity` as it was at the first sync
  VolumeName volume;
  std::string volume_identity;  ///< MigrationStorage::identity
  uint64_t size = 0;            ///< bytes that the guest sees
  std::string
      overlay;  ///< the file that the guest writes to: all that it wrote since the last sync
  std::string overlay_identity;  ///< FileLook::identity
  /// An overlay between the two, of which the volume has all; it is being committed into the image.
  /// Empty: there is none.
  std::string layer;
};

struct SyncState {
  MigrateRequest request;  ///< of the first sync
  std::string uuid;        ///< of the guest
  HostIdentity host;
  std::string original_persistent;  ///< its definition before the first sync (migratable)
  std::vector<SyncedDisk> disks;
  std::vector<std::string> stays;  ///< Plan::stays
  std::vector<SyncRound> rounds;   ///< the last ones, at least one; the newest last

  const SyncRound& last() const { return rounds.back(); }
};

/// The snapshot that sync `number` leaves on each volume: "vmferry-sync-3".
std::string sync_mark(unsigned number);

/// Where it is: STATE_DIR/DOMAIN.sync.
std::string sync_state_path(const std::string& domain, const std::string& state_dir);

/// Nothing: the domain is in no warm move. A run may be at work and change it any moment: it is
/// read as it was at one moment. Throws Error; kCorrupt: it is damaged, or of another version. Any
/// thread.
std::optional<SyncState> read_sync_state(const std::string& domain, const std::string& state_dir);

}  // namespace VMFERRY_API vmferry
