// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2_tables.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmferry {
namespace {

constexpr uint64_t kOffsetMask = 0x00fffffffffffe00;
constexpr uint64_t kZeroFlag = 1;
constexpr uint64_t kCompressedFlag = uint64_t{1} << 62;
constexpr uint64_t kSectorSize = 512;

Qcow2L2Entry decode_compressed(uint64_t raw, uint32_t cluster_bits) {
  // The border between the two fields moves with the cluster size.
  const unsigned offset_bits = 62 - (cluster_bits - 8);
  const uint64_t offset = raw & ((uint64_t{1} << offset_bits) - 1);
  const uint64_t sectors = (raw & (kCompressedFlag - 1)) >> offset_bits;
  return {.kind = MapKind::kCompressed,
          .host_offset = offset,
          .stream_bytes = (sectors + 1) * kSectorSize - offset % kSectorSize};
}

Qcow2Fault past_end(uint64_t offset, uint64_t file_size) {
  return {fmt::format("points to {}, past the end of the file ({} bytes)", offset, file_size),
          "the file looks cut short: copy it again, or examine it with qemu-img check"};
}

// What plain clusters and L2 tables have in common.
std::optional<Qcow2Fault> check_place(uint64_t offset, uint64_t needed, const Qcow2Geometry& g) {
  if (g.in_cluster(offset) != 0) {
    return Qcow2Fault{
        fmt::format("points to {}, which is not a multiple of the cluster size", offset)};
  }
  if (offset < g.cluster_size()) {
    return Qcow2Fault{fmt::format("points to {}, into the header", offset)};
  }
  if (offset > g.file_size || needed > g.file_size - offset) return past_end(offset, g.file_size);
  return std::nullopt;
}

}  // namespace

uint64_t decode_l1_entry(uint64_t raw) { return raw & kOffsetMask; }

Qcow2L2Entry decode_l2_entry(uint64_t raw, const Qcow2Geometry& geometry) {
  if (raw & kCompressedFlag) return decode_compressed(raw, geometry.cluster_bits);
  const uint64_t offset = raw & kOffsetMask;
  if (raw & kZeroFlag) return {.kind = MapKind::kZero, .host_offset = offset};
  if (offset == 0) return {};
  return {.kind = MapKind::kData, .host_offset = offset};
}

std::optional<Qcow2Fault> check_l2_table(uint64_t table_offset, const Qcow2Geometry& geometry) {
  return check_place(table_offset, geometry.cluster_size(), geometry);
}

std::optional<Qcow2Fault> check_l2_entry(const Qcow2L2Entry& entry, uint64_t guest_offset,
                                         const Qcow2Geometry& geometry) {
  switch (entry.kind) {
    case MapKind::kUnallocated:
      return std::nullopt;
    case MapKind::kZero:
      if (geometry.version < 3) return Qcow2Fault{"has a zero flag, which version 2 does not know"};
      // The place kept for later is not read: that it is aligned shows that the entry is sane.
      if (geometry.in_cluster(entry.host_offset) == 0) return std::nullopt;
      return check_place(entry.host_offset, 0, geometry);
    case MapKind::kData:
      return check_place(entry.host_offset,
                         std::min(geometry.cluster_size(), geometry.virtual_size - guest_offset),
                         geometry);
    case MapKind::kCompressed:
      if (entry.host_offset < geometry.cluster_size()) {
        return Qcow2Fault{fmt::format("points to {}, into the header", entry.host_offset)};
      }
      if (entry.host_offset >= geometry.file_size) {
        return past_end(entry.host_offset, geometry.file_size);
      }
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace vmferry
