// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/store/copied_snapshot.h"
#include "vmferry/target.h"

// What is asked of a cluster, and done to it, beside the reading and writing of a volume's data.
// Who only asks shares a connection with all who ask at that time with the same options; who writes
// has one of its own. Any thread may call them; all throw Error. No type of librbd here: a build
// without it has the same functions, which say so.

namespace vmferry {

/// Snapshots of one object, of which Ceph asks the OSDs together: more of them make operations fail
/// (Ceph's documentation, "rbd snapshots").
constexpr size_t kMostRbdSnapshots = 510;

/// Connects, unless there is such a connection already. As long as the answer is held, who asks
/// with the same options uses that connection; one that the cluster has cut off they do not, and
/// make their own.
std::shared_ptr<const void> hold_ceph_connection(const RbdLocation& volume,
                                                 const CephOptions& options);

/// What the cluster tells about a pool. Nothing in a field: this user may not ask for it, or the
/// cluster cannot tell.
struct RbdPoolState {
  bool exists = false;
  std::optional<bool> for_rbd;  ///< carries the application tag "rbd"
  std::optional<bool> full;     ///< writes are refused; its quota counts, too
  std::optional<bool> nearly_full;
  std::optional<uint64_t> available;  ///< bytes that clients may still write
  /// Of these, until the cluster calls itself nearly full: an estimate.
  std::optional<uint64_t> until_nearly_full;
  std::optional<double> overhead;  ///< bytes stored for each that is written
  std::string trouble;  ///< empty: data could be written and read just now; else what is wrong
};

/// Takes 15 seconds at most from a cluster that answers slowly. Throws when it cannot be reached.
RbdPoolState rbd_pool_state(const std::string& pool, const CephOptions& options);

/// What is wrong with the cluster that more load would make worse, in its own words: recovery, data
/// that cannot be reached, OSDs or the pool nearly full, slow operations. Empty: nothing, or this
/// user may not ask. Takes 15 seconds at most. Throws when it cannot be reached.
std::vector<std::string> ceph_troubles(const std::string& pool, const CephOptions& options);

/// Writes, reads and removes a small object of its own. Throws what is wrong within some 10 s, less
/// if options.timeout is shorter.
/// `mon_host`: through these monitors only, as the option of that name has them; empty: as the
/// options say.
void prove_rbd_access(const std::string& pool, const CephOptions& options,
                      const std::string& mon_host = {});

/// Sizes of a volume in bytes.
struct RbdVolumeState {
  uint64_t size = 0;
  uint64_t used = 0;  ///< as "rbd du --exact" counts: objects up to their last written byte
};

/// Nothing: no such volume. Costs one question for each object that exists.
std::optional<RbdVolumeState> rbd_volume_state(const RbdLocation& volume,
                                               const CephOptions& options);

/// The names of all volumes of a pool, in order; without what unfinished copies have.
std::vector<std::string> rbd_volume_names(const std::string& pool, const CephOptions& options);

/// How many clients have the volume open for writing. Throws kNotFound: no such volume.
size_t rbd_volume_writers(const RbdLocation& volume, const CephOptions& options);

/// Nothing: no such volume.
std::optional<Identity> rbd_volume_identity(const RbdLocation& volume, const CephOptions& options);

/// A volume that needs the data of another one: a clone of one of its snapshots, also of one in the
/// trash, or a clone of such a clone.
struct RbdClone {
  std::string name;    ///< as Ceph's commands take it
  bool trash = false;  ///< it was thrown away itself, and is there still
  std::string remedy;  ///< the command by which it needs that data no more, and what it does
};

/// None of a volume that does not exist.
std::vector<RbdClone> rbd_volume_clones(const RbdLocation& volume, const CephOptions& options);

/// What becomes of the snapshots of a volume that is removed. kOfCopy: those go with it that were
/// made together with it, as states of the disk that it is a copy of (Target::mark).
enum class SnapshotRemoval { kNone, kOfCopy };

/// Removes a volume and what a killed copy to that name left; none there is no error. While clients
/// have it open it tries again, for 60 s: one that died counts for some 30 s. kConflict: it stays
/// open, or has snapshots. Stopped, it ends early with kCancelled.
void remove_rbd_volume(const RbdLocation& volume, const CephOptions& options,
                       SnapshotRemoval snapshots, std::stop_token stop);

/// The same for what a killed copy to that name left, and for that only.
void remove_rbd_left_over(const RbdLocation& volume, const CephOptions& options,
                          std::stop_token stop);

/// A volume that is there, to bring it up to date: nothing is published or removed. Waits for who
/// died with it open (45 s). kConflict: a client has it open for writing.
std::unique_ptr<Target> update_rbd_volume(const RbdLocation& volume, const TargetOptions& options);

/// Keeps what a volume holds as this snapshot, also while others write to it: then the client that
/// holds its lock makes it, between two writes. Throws kConflict: there is one of that name.
void create_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options);

/// None there is no error.
void remove_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options);

/// The user's snapshots, oldest first.
std::vector<CopiedSnapshot> rbd_copied_snapshots(const RbdLocation& volume,
                                                 const CephOptions& options);

/// Removes it if it has still that id, is not protected and has no clones. Answers why it stays;
/// empty: it is gone.
std::string remove_rbd_copied_snapshot(const RbdLocation& snapshot, const std::string& id,
                                       const CephOptions& options);

/// What the volume knows of the snapshot goes along. Throws kConflict: there is one of that name.
void rename_rbd_snapshot(const RbdLocation& snapshot, const std::string& name,
                         const CephOptions& options);

struct RbdSparsifyOptions {
  /// Others may have the volume open: then the client that holds its lock does the work. Without
  /// this a volume with a watcher is refused (kConflict), and one with the exclusive-lock feature
  /// is locked meanwhile.
  bool may_be_in_use = false;
  CephOptions ceph;
  /// Bytes of its size: those looked at, and all. Called from a thread of librbd; must not throw.
  std::function<void(uint64_t done, uint64_t total)> progress;
  /// Called once everything was checked, just before the first change. May be empty.
  std::function<void()> before_change;
  std::stop_token stop;
};

/// Gives back what holds only zeros, in pieces of 4 KiB or more: the OSDs look, and no data comes
/// here. Stopped, it throws kCancelled; what was given back stays so.
void sparsify_rbd_volume(const RbdLocation& volume, const RbdSparsifyOptions& options);

/// The key of the user that options name, as librados would find it. Throws kNotFound. Never put it
/// into a message.
std::string ceph_user_key(const CephOptions& options);

}  // namespace vmferry
