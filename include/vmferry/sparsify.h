// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/copy.h"
#include "vmferry/location.h"
#include "vmferry/open.h"

namespace VMFERRY_API vmferry {

struct InPlaceOptions {
  unsigned jobs = 8;           ///< threads that look for zeros; 1..64
  bool dry_run = false;        ///< only look: the image is opened for reading
  bool assume_unused = false;  ///< nobody has it open, where that cannot be asked
  CephOptions ceph;
  /// Called once everything was checked, just before the first change. May be empty.
  std::function<void()> before_change;
  std::stop_token stop = {};  ///< stops the work: Error kCancelled; what is done by then stays done
};

/// What an image costs its store. Bytes.
struct SpaceUse {
  /// Nothing: the store cannot tell (a block device).
  std::optional<uint64_t> before;
  std::optional<uint64_t> after;  ///< with dry_run: what it would be
  uint64_t dropped = 0;           ///< given back (with dry_run: that would be)
};

/// Gives back the space of zeros: in a file they become holes (fallocate(2),
/// FALLOC_FL_PUNCH_HOLE), and so does what was only reserved; a block device is told to drop them,
/// where it promises zeros after that (the same call; Documentation of blkdev_issue_zeroout); an
/// RBD volume is made sparse (rbd_sparsify). Only whole blocks that were seen to be zero are given
/// back, so a reader sees the same bytes at every moment, and whoever stops this at any point
/// leaves the same bytes behind. A file that holds an image in some format is taken as it is: its
/// own bytes stay the same, too.
///
/// Throws kConflict if another process has it open for writing (QEMU's locks, a file lease, the
/// watchers of a volume); while it runs, QEMU will not open the image for writing.
/// kUnsupported if the store has no holes. progress counts what was looked at (for a volume:
/// its objects, as bytes).
SpaceUse sparsify_in_place(const Location& location, const InPlaceOptions& options,
                           Progress& progress);

/// How to open an encrypted volume of a guest.
struct DiskKey {
  std::string volume;  ///< its device as libguestfs names it ("/dev/sda2"), or its UUID, or "all"
  std::string secret;
};

enum class RoomCheck { kFail, kWarn, kIgnore };

struct TrimOptions {
  /// Where the overlay goes. Empty: TMPDIR, or /var/tmp.
  std::string tmp_dir;
  bool assume_unused = false;         ///< in place: nobody has it open, where that cannot be asked
  RoomCheck room = RoomCheck::kFail;  ///< what to do if it may not fit there
  /// Leave these whole, or trim these alone: device ("/dev/sda1"), UUID or label of a file system.
  std::vector<std::string> ignore;
  std::vector<std::string> only;
  std::vector<DiskKey> keys;
  CephOptions ceph;
  /// Called with what a person should know while it happens (emulation is slow). May be empty.
  std::function<void(const std::string&)> notice;
  std::stop_token stop = {};
};

/// A part of a guest's disk: a file system, swap, a gap, what LVM has free. Bytes.
struct TrimmedPart {
  std::string name;  ///< "/dev/sda1", "/dev/vg/root", "gap at 5 GiB", "free extents of vg"
  std::string type;  ///< "ext4", "swap", "gap", "lvm" ...
  uint64_t size = 0;
  std::optional<uint64_t> used;     ///< by the file system's own count
  std::optional<uint64_t> dropped;  ///< that much less is stored; nothing: cannot be told
  std::string left;                 ///< why it was left whole; empty: it was trimmed
};

/// An image without what its guest's file systems do not use.
struct TrimmedImage {
  std::unique_ptr<Source> guest;  ///< reads as zero where nothing is used
  std::vector<TrimmedPart> parts;
  uint64_t overlay_bytes = 0;  ///< of temporary space
};

/// Looks into the image at `location`, which `source` shows and whose format is `format`, with
/// libguestfs (list_filesystems, mount, fstrim). The image is only read: what is dropped is
/// dropped from a temporary qcow2 overlay (a map and no data), which goes with the answer. Dirty,
/// hibernated, unknown and encrypted file systems without a key are left whole, and the answer says
/// why. Throws kUnsupported without libguestfs, or where it cannot start; kConflict where the
/// overlay may not fit.
TrimmedImage trim_copy(const Location& location, std::shared_ptr<const Source> source,
                       ImageFormat format, const TrimOptions& options);

/// The same on the image itself, a raw or qcow2 file or a block device, which `guest` shows as it
/// was before. Nothing but blocks that
/// nobody uses changes (file systems are mounted read-only), and the journal of NTFS. Throws
/// kConflict if another process has the image open for writing; while this runs, QEMU's lock is
/// held on it.
std::vector<TrimmedPart> trim_in_place(const Location& location, const Source& guest,
                                       ImageFormat format, const TrimOptions& options);

/// What the file or volume takes of its store's space now (bytes); nothing for a block device.
std::optional<uint64_t> allocated_bytes(const Location& location, const CephOptions& ceph);

}  // namespace VMFERRY_API vmferry
