// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/format.h"
#include "vmferry/history.h"

// What is known of an image, as plain values.

namespace VMFERRY_API vmferry {

// Names are the very bytes that the image or the store has: a terminal should see them through
// printable().

/// A snapshot inside a qcow2 image, or of an RBD volume.
struct SnapshotFacts {
  std::string id;
  std::string name;
  /// RBD only: what it was called in the image that the volume is a copy of; empty: not known.
  std::string recorded_name = {};
  int64_t recorded_seconds = 0;                  ///< likewise; 0: not known
  int64_t date_seconds = 0;                      ///< since 1970, UTC; 0: it does not say
  std::optional<uint64_t> virtual_size;          ///< bytes
  std::optional<uint64_t> vm_state_bytes;        ///< qcow2 only; 0: of the disk only
  std::optional<uint64_t> vm_clock_nanoseconds;  ///< qcow2 only: how long the guest had run
  bool is_protected = false;                     ///< RBD only
};

/// A persistent dirty bitmap of a qcow2 image.
struct BitmapFacts {
  std::string name;
  uint64_t granularity = 0;  ///< guest bytes for one bit
  bool is_in_use = false;    ///< was not saved properly: its content means nothing
  bool is_recording = false;
};

struct Qcow2Facts {
  uint32_t version = 0;
  uint64_t cluster_size = 0;  ///< bytes
  std::string compression;    ///< "zlib" or "zstd": for clusters that are compressed, if any
  std::string encryption;     ///< "AES" or "LUKS"; empty: none
  uint32_t refcount_bits = 0;
  /// Of all three words of features, those that are set: by our name, the image's own, or number.
  std::vector<std::string> features;
  std::string backing_file;  ///< as the image names it; empty: none
  std::string backing_format;
  bool has_data_file = false;  ///< its data is in another file
  std::string data_file;       ///< as the image names it; empty: it has no name for it
  std::vector<SnapshotFacts> snapshots;
  std::vector<BitmapFacts> bitmaps;
  bool are_bitmaps_valid = true;  ///< false: a program that does not know bitmaps changed the image
};

struct RbdFacts {
  std::string id;
  uint64_t object_size = 0;   ///< bytes
  uint64_t stripe_unit = 0;   ///< bytes
  uint64_t stripe_count = 0;  ///< 1: not striped
  std::vector<std::string> features;
  std::string data_pool;        ///< empty: data is in the volume's own pool
  std::string parent;           ///< "rbd:pool/image@snapshot"; empty: no clone
  uint64_t parent_overlap = 0;  ///< how much of the parent can show through (bytes)
  /// Bytes of objects that exist for the volume itself, without its parent, its snapshots' copies
  /// and replicas; nothing: the cluster does not tell.
  std::optional<uint64_t> used_bytes;
  int64_t created_seconds = 0;  ///< since 1970, UTC; 0: unknown
  std::vector<SnapshotFacts> snapshots;
};

/// A file with a part of an image's data, which a list in the image names (VMDK).
struct ExtentFacts {
  std::string name;
  uint64_t file_size = 0;
  std::optional<uint64_t> allocated_bytes;  ///< what the store keeps for it
};

/// One image of a chain.
struct ImageFacts {
  std::string name;
  ImageFormat format;
  bool was_probed = false;  ///< the format was probed
  uint64_t virtual_size = 0;
  uint64_t file_size = 0;                   ///< of the file, device or volume
  std::optional<uint64_t> allocated_bytes;  ///< what the store keeps for it
  /// What the guest sees of this image as data; nothing: the chain could not be read, or QEMU reads
  /// it together with the image above it.
  std::optional<uint64_t> data_bytes;
  uint64_t compressed_bytes = 0;  ///< of data_bytes: guest bytes that are kept compressed
  std::vector<ExtentFacts> extents;
  /// The state of a disk that it says it holds (ImageLink).
  std::optional<Point> point = {};
  std::optional<Qcow2Facts> qcow2;
  std::optional<RbdFacts> rbd;
};

}  // namespace VMFERRY_API vmferry
