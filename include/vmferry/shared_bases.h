// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/digest.h"

// Which disks of a host could share one base on Ceph? Plain values; nothing is opened. Any thread.

namespace VMFERRY_API vmferry {

/// An image with a disk.
struct DiskImageOnHost {
  std::string path;
  std::string below;        ///< path of the image that it was made over; empty: none
  uint64_t data_bytes = 0;  ///< what it holds itself, without those below it
  /// What it shows; null: it was not read. Of images without another one below.
  std::shared_ptr<const DiskDigest> digest;
};

/// A disk that would share a base.
struct BaseSharer {
  size_t disk = 0;
  bool is_over_it = false;    ///< was made over the base; otherwise it has the same content
  uint64_t common_bytes = 0;  ///< of data that need not be there once more
  uint64_t own_bytes = 0;     ///< of data that stays its own
};

struct SharedBase {
  std::string path;
  uint64_t data_bytes = 0;  ///< 0: it is none of the disks, so nobody knows
  bool is_disk = false;  ///< it is a guest's disk itself, as far as is known: no image is over it
  std::vector<BaseSharer> sharers;  ///< as the disks are ordered

  /// What its sharers would take less than they do as copies of their own.
  uint64_t saved_bytes() const;
};

/// Those that two disks or more would share, the one that saves most first. An image that others
/// were made over is the base of all that lie over it, and of those that have at least a tenth of
/// their data in common with it, in blocks of DiskDigest::kBlock at the same place. Of other disks
/// that have as much in common with one another, the one that would save most is the base. No disk
/// is in two groups.
std::vector<SharedBase> find_shared_bases(const std::vector<DiskImageOnHost>& disks);

}  // namespace VMFERRY_API vmferry
