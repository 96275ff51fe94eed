// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/core/printable.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/format/qcow2/sector_cipher.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// Its L1 table and its size, which nobody has checked so far.
class SnapshotCheck {
 public:
  SnapshotCheck(const Qcow2Snapshot& snapshot, const Source& file)
      : snapshot_(snapshot), file_(file) {}

  void check_table(const Qcow2Geometry& geometry) const {
    const uint64_t bytes = uint64_t{snapshot_.l1_entries} * sizeof(uint64_t);
    if (bytes > kQcow2MaxL1Bytes) {
      refuse("is too long");
    }
    if (geometry.in_cluster(snapshot_.l1_offset) != 0) {
      refuse("is not aligned to a cluster");
    }
    if (bytes > 0 && snapshot_.l1_offset == 0) {
      refuse("is said to be in the header");
    }
    if (snapshot_.l1_offset > geometry.file_size ||
        bytes > geometry.file_size - snapshot_.l1_offset) {
      refuse(fmt::format("ends past the end of the file ({} bytes)", geometry.file_size));
    }
  }

  /// A disk of any size could be made of a few bytes that say so.
  void check_size(uint64_t l1_entries_needed) const {
    if (snapshot_.l1_entries < l1_entries_needed) {
      refuse(
          fmt::format("is too short for its disk of {} bytes", snapshot_.virtual_size.value_or(0)));
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& cause) const {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = file_.name(),
                 .action = "open as qcow2",
                 .cause = fmt::format("the L1 table of the snapshot '{}' ({} entries at {}) {}",
                                      printable(snapshot_.name), snapshot_.l1_entries,
                                      snapshot_.l1_offset, cause),
                 .hint = "examine the image with qemu-img check"});
  }

  const Qcow2Snapshot& snapshot_;
  const Source& file_;
};

void use_snapshot(const Qcow2Parts& parts, Qcow2Geometry& geometry) {
  const Qcow2Snapshot& snapshot = *parts.snapshot;
  const SnapshotCheck check(snapshot, *parts.file);
  check.check_table(geometry);
  geometry.l1_offset = snapshot.l1_offset;
  // After the disk as it was then the table holds the state of the machine. A disk that has grown
  // since must not show it.
  const uint64_t then = snapshot.virtual_size.value_or(geometry.virtual_size);
  const uint64_t needed = geometry.l1_index(then) + (geometry.in_l2(then) != 0 ? 1 : 0);
  geometry.l1_entries = std::min<uint64_t>(snapshot.l1_entries, needed);
  if (parts.has_size_of_snapshot && snapshot.virtual_size) {
    check.check_size(needed);
    geometry.virtual_size = then;
  }
}

}  // namespace

Qcow2Geometry geometry_of(const Qcow2Parts& parts, const Qcow2Header& header) {
  Qcow2Geometry geometry{
      .version = header.version,
      .cluster_bits = header.cluster_bits,
      .virtual_size = header.virtual_size,
      .file_size = parts.file->size(),
      .data_size = parts.data_file ? parts.data_file->size() : parts.file->size(),
      .has_data_file = header.has_data_file(),
      .has_subclusters = header.has_extended_l2(),
      .l1_offset = header.l1_offset,
      .l1_entries = header.l1_entries,
      .block = parts.cipher ? kCipherSector : 1};
  if (parts.snapshot) {
    use_snapshot(parts, geometry);
  }
  return geometry;
}

}  // namespace vmferry
