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
#include "vmferry/format.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

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
  NetworkOptions network;
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

}  // namespace VMFERRY_API vmferry
