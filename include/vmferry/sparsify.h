// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "vmferry/api.h"
#include "vmferry/copy.h"
#include "vmferry/location.h"
#include "vmferry/network.h"

namespace VMFERRY_API vmferry {

struct InPlaceOptions {
  unsigned jobs = 8;           ///< threads that look for zeros; 1..64
  bool dry_run = false;        ///< only look: the image is opened for reading
  bool assume_unused = false;  ///< nobody has it open, where that cannot be asked
  NetworkOptions network;
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

/// Can a dry run tell what sparsify_in_place() would give back there? Ceph does not tell.
bool can_rehearse_in_place(const Location& location);

/// Throws kUnsupported where sparsify_in_place() cannot do anything. Asks nobody.
void refuse_without_space(const Location& location);

/// What the file or volume takes of its store's space now (bytes); nothing for a block device.
std::optional<uint64_t> allocated_bytes(const Location& location, const NetworkOptions& network);

}  // namespace VMFERRY_API vmferry
