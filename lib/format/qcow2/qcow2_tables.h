// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vmferry {

/// What holds a guest range.
enum class MapKind {
  kUnallocated,  ///< nothing here: the backing image shows through
  kZero,         ///< reads as zeros, whatever is below
  kData,         ///< plain bytes in the file
  kCompressed,   ///< a packed cluster in the file
};

/// A guest run and what holds it, checked against the file: for kData `host_offset` is
/// where the first byte of the run is; for kCompressed the run lies in one cluster, whose stream
/// begins at `host_offset` and has at most `stream_bytes`, all inside the file.
struct Mapping {
  MapKind kind = MapKind::kUnallocated;
  uint64_t length = 0;
  uint64_t host_offset = 0;
  uint64_t stream_bytes = 0;
};

/// The numbers that decode and check entries of the L1 and L2 tables. A plain value.
struct Qcow2Geometry {
  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint64_t virtual_size = 0;
  uint64_t file_size = 0;      ///< of the file with the tables
  uint64_t data_size = 0;      ///< of the file with the clusters; mostly the same file
  bool has_data_file = false;  ///< it is another one, where clusters lie as in the guest
  bool has_subclusters = false;
  uint64_t l1_offset = 0;  ///< where the L1 table is; nothing else can be there
  uint64_t l1_entries = 0;
  uint64_t block = 1;  ///< plain bytes can be used in whole blocks only (encryption: 512)

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t subcluster_size() const {
    return has_subclusters ? cluster_size() / 32 : cluster_size();
  }
  uint32_t words_per_entry() const { return has_subclusters ? 2 : 1; }
  /// log2 of the guest bytes that one L2 table, of one cluster, maps.
  uint32_t l2_bits() const { return cluster_bits + (cluster_bits - (has_subclusters ? 4 : 3)); }
  uint64_t l2_coverage() const { return uint64_t{1} << l2_bits(); }
  uint64_t l1_index(uint64_t guest_offset) const { return guest_offset >> l2_bits(); }
  uint64_t l2_index(uint64_t guest_offset) const { return in_l2(guest_offset) >> cluster_bits; }
  /// Where in its L2 table's range, and in its cluster, a guest offset is.
  uint64_t in_l2(uint64_t guest_offset) const { return guest_offset & (l2_coverage() - 1); }
  uint64_t in_cluster(uint64_t offset) const { return offset & (cluster_size() - 1); }
};

/// An L2 entry as it is in the table. Without subclusters there is no bitmap.
struct Qcow2RawEntry {
  uint64_t entry = 0;
  uint64_t bitmap = 0;
};

/// What an L2 entry says of the bytes of its cluster from some offset on, not yet checked.
struct Qcow2L2Entry {
  MapKind kind = MapKind::kUnallocated;
  uint64_t length = 0;        ///< bytes of that kind, at most to the end of the cluster
  uint64_t host_offset = 0;   ///< of the cluster, or of the first byte of the stream (kCompressed)
  uint64_t stream_bytes = 0;  ///< may reach past the end of the file
  bool is_contradictory = false;  ///< its bitmap cannot be
};

/// Where the L2 table of an L1 entry is; 0 when there is none. Any value can be decoded.
uint64_t decode_l1_entry(uint64_t raw);
/// REQUIRES: in_cluster < cluster size.
Qcow2L2Entry decode_l2_entry(Qcow2RawEntry raw, uint64_t in_cluster, const Qcow2Geometry& geometry);

/// What is wrong with a place: a cause to show and maybe a hint.
struct Qcow2Fault {
  std::string cause;
  std::string hint = {};
};

/// Checks where an L1 entry that is not 0 points to: nothing, or why it must not be followed.
std::optional<Qcow2Fault> check_l2_table(uint64_t table_offset, const Qcow2Geometry& geometry);
/// Checks what the entry says of the bytes from `guest_offset` on: every byte of them below the
/// virtual size must be inside the file; of a stream, at least one.
std::optional<Qcow2Fault> check_l2_entry(const Qcow2L2Entry& entry, uint64_t guest_offset,
                                         const Qcow2Geometry& geometry);

}  // namespace vmferry
