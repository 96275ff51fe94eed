// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/core/format_bytes.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// An L1 table can be 32 MiB, and a chain has many: it goes through the cache in pieces.
constexpr uint64_t kL1PageEntries = 8192;

}  // namespace

Qcow2Map::Qcow2Map(const Source& file, const Qcow2Geometry& geometry, uint64_t backing_size,
                   std::shared_ptr<Qcow2TableCache> cache)
    : file_(file),
      geometry_(geometry),
      backing_size_(backing_size),
      cache_(std::move(cache)),
      l1_user_(cache_->add_user()),
      l2_user_(cache_->add_user()) {}

void Qcow2Map::fail(const char* structure, uint64_t guest_offset, Qcow2Fault fault) const {
  throw Error(
      {.kind = ErrorKind::kCorrupt,
       .object = file_.name(),
       .action = fmt::format("{} for guest offset {}", structure, exact_bytes(guest_offset)),
       .cause = std::move(fault.cause),
       .hint = std::move(fault.hint)});
}

MapKind Qcow2Map::Walker::kind_of_nothing(uint64_t guest_offset) const {
  return view_ == View::kLayer || guest_offset < map_.backing_size_ ? MapKind::kUnallocated
                                                                    : MapKind::kZero;
}

bool Qcow2Map::Walker::continues(const Mapping& run, const Mapping& next) const {
  if (run.kind != next.kind || run.kind == MapKind::kCompressed) {
    return false;
  }
  if (run.kind == MapKind::kData || (view_ == View::kLayer && run.host_offset != 0)) {
    return run.host_offset + run.length == next.host_offset;
  }
  return view_ == View::kGuest || next.host_offset == 0;
}

uint64_t Qcow2Map::Walker::within_backing(uint64_t offset, uint64_t max) const {
  return view_ == View::kLayer ? max : std::min(max, map_.backing_size_ - offset);
}

Mapping Qcow2Map::Walker::next(uint64_t offset, uint64_t max) {
  Mapping run = next_in_table(offset, max);
  // A run that ends before its table does has met something else, and need not look further.
  while (run.length < max && map_.geometry_.in_l2(offset + run.length) == 0) {
    const Mapping more = next_in_table(offset + run.length, max - run.length);
    if (!continues(run, more)) {
      break;
    }
    run.length += more.length;
  }
  return run;
}

uint64_t Qcow2Map::Walker::same_tables(Walker& other, uint64_t offset, uint64_t max) {
  const Qcow2Geometry& geometry = map_.geometry_;
  uint64_t length = 0;
  while (length < max && table_for(offset + length) == other.table_for(offset + length)) {
    length += geometry.l2_coverage() - geometry.in_l2(offset + length);
  }
  return std::min(length, max);
}

Mapping Qcow2Map::Walker::next_in_table(uint64_t offset, uint64_t max) {
  const Qcow2Geometry& geometry = map_.geometry_;
  const uint64_t table_offset = table_for(offset);
  if (table_offset == 0) {
    return unmapped(offset, max);
  }
  if (table_offset != table_offset_) {
    if (auto fault = check_l2_table(table_offset, geometry)) {
      map_.fail("L1 entry", offset, std::move(*fault));
    }
    table_ = map_.cache_->get(map_.l2_user_, map_.file_, table_offset, geometry.cluster_size());
    table_offset_ = table_offset;
  }
  Mapping run = entry_at(offset);
  if (run.kind == MapKind::kUnallocated) {
    max = within_backing(offset, max);
  }
  if (run.kind != MapKind::kCompressed) {
    const uint64_t end = std::min(max, geometry.l2_coverage() - geometry.in_l2(offset));
    while (run.length < end) {
      const Mapping more = entry_at(offset + run.length);
      if (!continues(run, more)) {
        break;
      }
      run.length += more.length;
    }
  }
  run.length = std::min(run.length, max);
  return run;
}

// Steps over whole L2 ranges: the cost of an empty disk is that of its L1 table.
Mapping Qcow2Map::Walker::unmapped(uint64_t offset, uint64_t max) {
  const MapKind kind = kind_of_nothing(offset);
  if (kind == MapKind::kUnallocated) {
    max = within_backing(offset, max);
  }
  const uint64_t coverage = map_.geometry_.l2_coverage();
  uint64_t length = coverage - map_.geometry_.in_l2(offset);
  while (length < max && table_for(offset + length) == 0) {
    length += coverage;
  }
  return {.kind = kind, .length = std::min(length, max)};
}

// Where the L2 table for the guest offset is; 0 if there is none.
uint64_t Qcow2Map::Walker::table_for(uint64_t offset) {
  const Qcow2Geometry& geometry = map_.geometry_;
  const uint64_t index = geometry.l1_index(offset);
  if (index >= geometry.l1_entries) {
    return 0;
  }
  const uint64_t page = index / kL1PageEntries;
  if (page != l1_page_) {
    const uint64_t first = page * kL1PageEntries;
    const uint64_t count = std::min(kL1PageEntries, geometry.l1_entries - first);
    l1_ = map_.cache_->get(map_.l1_user_, map_.file_, geometry.l1_offset + first * sizeof(uint64_t),
                           count * sizeof(uint64_t));
    l1_page_ = page;
  }
  return decode_l1_entry((*l1_)[index % kL1PageEntries]);
}

// What the entry of the cluster says of the bytes from `offset` on, checked, as the map means it.
Mapping Qcow2Map::Walker::entry_at(uint64_t offset) const {
  const Qcow2Geometry& geometry = map_.geometry_;
  const uint64_t index = geometry.l2_index(offset) * geometry.words_per_entry();
  const Qcow2RawEntry raw{(*table_)[index], geometry.has_subclusters ? (*table_)[index + 1] : 0};
  const uint64_t in_cluster = geometry.in_cluster(offset);
  const Qcow2L2Entry entry = decode_l2_entry(raw, in_cluster, geometry);
  if (auto fault = check_l2_entry(entry, offset, geometry)) {
    map_.fail("L2 entry", offset - in_cluster, std::move(*fault));
  }
  Mapping run{.kind = entry.kind, .length = entry.length, .host_offset = entry.host_offset};
  if (entry.kind == MapKind::kCompressed) {
    run.stream_bytes = std::min(entry.stream_bytes, geometry.file_size - entry.host_offset);
  } else if (entry.kind == MapKind::kData || entry.host_offset != 0) {
    run.host_offset += in_cluster;
  }
  if (entry.kind == MapKind::kUnallocated) {
    run.kind = kind_of_nothing(offset);
  }
  return run;
}

}  // namespace vmferry
