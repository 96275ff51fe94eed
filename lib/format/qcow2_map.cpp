// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/format/byte_reader.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

bool continues(const Mapping& run, const Mapping& next) {
  if (run.kind != next.kind || run.kind == MapKind::kCompressed) return false;
  return run.kind != MapKind::kData || run.host_offset + run.length == next.host_offset;
}

}  // namespace

Qcow2Map::Qcow2Map(const Source& file, const Qcow2Geometry& geometry, const L1Table& l1,
                   uint64_t backing_size)
    : file_(file),
      geometry_(geometry),
      backing_size_(backing_size),
      l2_cache_(file, geometry.cluster_size()) {
  // Entries behind the virtual size (a shrunk disk, VM state) are not even read.
  const uint64_t needed = geometry.l1_index(geometry.virtual_size) +
                          (geometry.in_l2(geometry.virtual_size) != 0 ? 1 : 0);
  l1_.resize(std::min(l1.entries, needed));
  if (l1_.empty()) return;
  file.read_at(l1.offset, std::as_writable_bytes(std::span(l1_)));
  from_big_endian(l1_);
}

uint64_t Qcow2Map::table_for(uint64_t guest_offset) const {
  const uint64_t index = geometry_.l1_index(guest_offset);
  return index < l1_.size() ? decode_l1_entry(l1_[index]) : 0;
}

MapKind Qcow2Map::kind_of_nothing(uint64_t guest_offset) const {
  return guest_offset < backing_size_ ? MapKind::kUnallocated : MapKind::kZero;
}

void Qcow2Map::fail(const char* structure, uint64_t guest_offset, Qcow2Fault fault) const {
  throw Error(
      {.kind = ErrorKind::kCorrupt,
       .object = file_.name(),
       .action = fmt::format("{} for guest offset {}", structure, exact_bytes(guest_offset)),
       .cause = std::move(fault.cause),
       .hint = std::move(fault.hint)});
}

Mapping Qcow2Map::Walker::next(uint64_t offset, uint64_t max) {
  Mapping run = next_in_table(offset, max);
  // A run that ends before its table does has met something else, and need not look further.
  while (run.length < max && map_.geometry_.in_l2(offset + run.length) == 0) {
    const Mapping more = next_in_table(offset + run.length, max - run.length);
    if (!continues(run, more)) break;
    run.length += more.length;
  }
  return run;
}

Mapping Qcow2Map::Walker::next_in_table(uint64_t offset, uint64_t max) {
  const uint64_t table_offset = map_.table_for(offset);
  if (table_offset == 0) return unmapped(offset, max);
  if (table_offset != table_offset_) {
    if (auto fault = check_l2_table(table_offset, map_.geometry_)) {
      map_.fail("L1 entry", offset, std::move(*fault));
    }
    table_ = map_.l2_cache_.get(table_offset);
    table_offset_ = table_offset;
  }
  const uint64_t cluster = map_.geometry_.cluster_size();
  const uint64_t in_cluster = map_.geometry_.in_cluster(offset);
  const Qcow2L2Entry first = entry_at(offset);
  Mapping run{.kind = first.kind,
              .length = cluster - in_cluster,
              .host_offset = first.host_offset,
              .stream_bytes = first.stream_bytes};
  if (run.kind == MapKind::kCompressed) {
    run.length = std::min(run.length, max);
    return run;
  }
  if (run.kind == MapKind::kData) run.host_offset += in_cluster;
  if (run.kind == MapKind::kUnallocated) max = std::min(max, map_.backing_size_ - offset);
  max = std::min(max, map_.geometry_.l2_coverage() - map_.geometry_.in_l2(offset));
  while (run.length < max) {
    const Qcow2L2Entry entry = entry_at(offset + run.length);
    const Mapping more{.kind = entry.kind, .length = cluster, .host_offset = entry.host_offset};
    if (!continues(run, more)) break;
    run.length += cluster;
  }
  run.length = std::min(run.length, max);
  return run;
}

// Steps over whole L2 ranges: the cost of an empty disk is that of its L1 table.
Mapping Qcow2Map::Walker::unmapped(uint64_t offset, uint64_t max) const {
  const MapKind kind = map_.kind_of_nothing(offset);
  if (kind == MapKind::kUnallocated) max = std::min(max, map_.backing_size_ - offset);
  const uint64_t coverage = map_.geometry_.l2_coverage();
  uint64_t length = coverage - map_.geometry_.in_l2(offset);
  while (length < max && map_.table_for(offset + length) == 0) length += coverage;
  return {.kind = kind, .length = std::min(length, max)};
}

// The entry for the cluster with `offset`, checked, and as the map means it.
Qcow2L2Entry Qcow2Map::Walker::entry_at(uint64_t offset) const {
  const Qcow2Geometry& geometry = map_.geometry_;
  Qcow2L2Entry entry = decode_l2_entry((*table_)[geometry.l2_index(offset)], geometry);
  if (entry.kind == MapKind::kUnallocated) {
    entry.kind = map_.kind_of_nothing(offset);
    return entry;
  }
  const uint64_t cluster_start = offset - geometry.in_cluster(offset);
  if (auto fault = check_l2_entry(entry, cluster_start, geometry)) {
    map_.fail("L2 entry", cluster_start, std::move(*fault));
  }
  if (entry.kind == MapKind::kCompressed) {
    entry.stream_bytes = std::min(entry.stream_bytes, geometry.file_size - entry.host_offset);
  }
  return entry;
}

}  // namespace vmferry
