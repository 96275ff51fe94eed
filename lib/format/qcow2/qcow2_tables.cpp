// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace vmferry {
namespace {

constexpr uint64_t kOffsetMask = 0x00fffffffffffe00;
constexpr uint64_t kZeroFlag = 1;
constexpr uint64_t kCompressedFlag = uint64_t{1} << 62;
constexpr uint64_t kCopiedFlag = uint64_t{1} << 63;
constexpr uint64_t kSectorSize = 512;

Qcow2L2Entry decode_compressed(uint64_t raw, uint64_t in_cluster, const Qcow2Geometry& g) {
  // The border between the two fields moves with the cluster size.
  const unsigned offset_bits = 62 - (g.cluster_bits - 8);
  const uint64_t offset = raw & ((uint64_t{1} << offset_bits) - 1);
  const uint64_t sectors = (raw & (kCompressedFlag - 1)) >> offset_bits;
  return {.kind = MapKind::kCompressed,
          .length = g.cluster_size() - in_cluster,
          .host_offset = offset,
          .stream_bytes = (sectors + 1) * kSectorSize - offset % kSectorSize};
}

// The bitmap has a bit "allocated" for each subcluster in its low half, and "zero" in its high one.
Qcow2L2Entry decode_subclusters(uint64_t bitmap, bool has_place, uint64_t in_cluster,
                                const Qcow2Geometry& g) {
  const auto allocated = static_cast<uint32_t>(bitmap);
  const auto zero = static_cast<uint32_t>(bitmap >> 32);
  if ((allocated & zero) != 0 || (allocated != 0 && !has_place)) {
    return {.length = g.cluster_size() - in_cluster, .is_contradictory = true};
  }
  const uint64_t index = in_cluster / g.subcluster_size();
  const uint32_t bit = uint32_t{1} << index;
  const MapKind kind = (zero & bit) != 0        ? MapKind::kZero
                       : (allocated & bit) != 0 ? MapKind::kData
                                                : MapKind::kUnallocated;
  const uint32_t alike = kind == MapKind::kZero   ? zero
                         : kind == MapKind::kData ? allocated
                                                  : ~(zero | allocated);
  const auto count = static_cast<uint64_t>(std::countr_one(alike >> index));
  return {.kind = kind, .length = (index + count) * g.subcluster_size() - in_cluster};
}

Qcow2Fault past_end(uint64_t offset, uint64_t file_size) {
  return {fmt::format("points to {}, past the end of the file ({} bytes)", offset, file_size),
          "the file looks cut short: copy it again, or examine it with qemu-img check"};
}

std::optional<Qcow2Fault> check_alignment(uint64_t offset, const Qcow2Geometry& g) {
  if (g.in_cluster(offset) == 0) {
    return std::nullopt;
  }
  return Qcow2Fault{
      fmt::format("points to {}, which is not a multiple of the cluster size", offset)};
}

// Of the file with the tables: what is there besides clusters.
std::optional<Qcow2Fault> check_metadata(uint64_t offset, const Qcow2Geometry& g) {
  if (offset < g.cluster_size()) {
    return Qcow2Fault{fmt::format("points to {}, into the header", offset)};
  }
  const uint64_t l1_end = g.l1_offset + g.l1_entries * sizeof(uint64_t);
  if (offset < l1_end && offset + g.cluster_size() > g.l1_offset) {
    return Qcow2Fault{fmt::format("points to {}, into the L1 table", offset)};
  }
  return std::nullopt;
}

std::optional<Qcow2Fault> check_data(const Qcow2L2Entry& entry, uint64_t guest_offset,
                                     const Qcow2Geometry& g) {
  if (auto fault = check_alignment(entry.host_offset, g)) {
    return fault;
  }
  const uint64_t in_cluster = g.in_cluster(guest_offset);
  if (g.has_data_file) {
    if (entry.host_offset != guest_offset - in_cluster) {
      return Qcow2Fault{fmt::format(
          "points to {}, but in an external data file everything is where the guest has it",
          entry.host_offset)};
    }
  } else if (auto fault = check_metadata(entry.host_offset, g)) {
    return fault;
  }
  const uint64_t rest = g.virtual_size - guest_offset;
  const uint64_t needed =
      in_cluster + std::min(entry.length, (rest + g.block - 1) & ~(g.block - 1));
  if (entry.host_offset > g.data_size || needed > g.data_size - entry.host_offset) {
    return past_end(entry.host_offset, g.data_size);
  }
  return std::nullopt;
}

std::optional<Qcow2Fault> check_compressed(const Qcow2L2Entry& entry, const Qcow2Geometry& g) {
  if (g.has_data_file) {
    return Qcow2Fault{"is compressed, which an external data file cannot hold"};
  }
  if (entry.host_offset < g.cluster_size()) {
    return Qcow2Fault{fmt::format("points to {}, into the header", entry.host_offset)};
  }
  if (entry.host_offset >= g.file_size) {
    return past_end(entry.host_offset, g.file_size);
  }
  return std::nullopt;
}

}  // namespace

uint64_t decode_l1_entry(uint64_t raw) { return raw & kOffsetMask; }

Qcow2L2Entry decode_l2_entry(Qcow2RawEntry raw, uint64_t in_cluster, const Qcow2Geometry& g) {
  if (raw.entry & kCompressedFlag) {
    return decode_compressed(raw.entry, in_cluster, g);
  }
  const uint64_t offset = raw.entry & kOffsetMask;
  // Offset 0 is a place like any other in a data file; there the flag tells it from no place.
  const bool has_place = offset != 0 || (g.has_data_file && (raw.entry & kCopiedFlag) != 0);
  Qcow2L2Entry entry;
  if (g.has_subclusters) {
    entry = decode_subclusters(raw.bitmap, has_place, in_cluster, g);
  } else {
    entry.kind = (raw.entry & kZeroFlag) != 0 ? MapKind::kZero
                 : has_place                  ? MapKind::kData
                                              : MapKind::kUnallocated;
    entry.length = g.cluster_size() - in_cluster;
  }
  entry.host_offset = offset;
  return entry;
}

std::optional<Qcow2Fault> check_l2_table(uint64_t table_offset, const Qcow2Geometry& geometry) {
  if (auto fault = check_alignment(table_offset, geometry)) {
    return fault;
  }
  if (auto fault = check_metadata(table_offset, geometry)) {
    return fault;
  }
  if (table_offset > geometry.file_size ||
      geometry.cluster_size() > geometry.file_size - table_offset) {
    return past_end(table_offset, geometry.file_size);
  }
  return std::nullopt;
}

std::optional<Qcow2Fault> check_l2_entry(const Qcow2L2Entry& entry, uint64_t guest_offset,
                                         const Qcow2Geometry& geometry) {
  if (entry.is_contradictory) {
    return Qcow2Fault{"has a bitmap that says two things of one subcluster"};
  }
  switch (entry.kind) {
    case MapKind::kZero:
      if (geometry.version < 3) {
        return Qcow2Fault{"has a zero flag, which version 2 does not know"};
      }
      [[fallthrough]];
    case MapKind::kUnallocated:
      // The place kept for later is not read: that it is aligned shows that the entry is sane.
      return check_alignment(entry.host_offset, geometry);
    case MapKind::kData:
      return check_data(entry, guest_offset, geometry);
    case MapKind::kCompressed:
      return check_compressed(entry, geometry);
  }
  return std::nullopt;
}

}  // namespace vmferry
