// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/map_summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmferry/error.h"
#include "vmferry/map.h"

namespace vmferry::cli {
namespace {

constexpr uint64_t kSmallestCell = 512;

uint64_t choose_cell_size(uint64_t disk_size, size_t most_cells) {
  uint64_t size = kSmallestCell;
  while (disk_size / size + (disk_size % size != 0 ? 1 : 0) > most_cells) {
    size *= 2;
  }
  return size;
}

std::vector<MapSummary::Part> parts_of(const Contents& contents, uint64_t disk_size) {
  std::vector<MapSummary::Part> parts;
  if (!contents.table) {
    return parts;
  }
  for (const Partition& partition : contents.table->partitions) {
    if (partition.role == PartitionRole::kExtended || partition.length == 0) {
      continue;
    }
    if (partition.offset >= disk_size) {
      continue;
    }
    parts.push_back({&partition, std::min(partition.end(), disk_size), 0});
  }
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return a.partition->offset < b.partition->offset;
  });
  return parts;
}

uint64_t overlap(uint64_t begin_a, uint64_t end_a, uint64_t begin_b, uint64_t end_b) {
  const uint64_t begin = std::max(begin_a, begin_b);
  const uint64_t end = std::min(end_a, end_b);
  return begin < end ? end - begin : 0;
}

void add_to_cells(const MappedExtent& extent, MapSummary& summary) {
  for (uint64_t at = extent.offset; at < extent.end();) {
    const size_t cell = at / summary.cell_size;
    const uint64_t end = std::min(extent.end(), (cell + 1) * summary.cell_size);
    summary.cell_data[cell] += end - at;
    at = end;
  }
}

void add(const MappedExtent& extent, MapSummary& summary) {
  MapTotals& totals = summary.totals;
  ++totals.extents;
  if (extent.is_zero()) {
    (extent.kind == MappedKind::kHole ? totals.hole : totals.zero) += extent.length;
    return;
  }
  totals.data += extent.length;
  if (extent.kind == MappedKind::kCompressed) {
    totals.compressed += extent.length;
  }
  add_to_cells(extent, summary);
  for (MapSummary::Part& part : summary.parts) {
    if (part.partition->offset >= extent.end()) {
      break;
    }
    part.data += overlap(extent.offset, extent.end(), part.partition->offset, part.end);
  }
}

}  // namespace

uint64_t MapSummary::cell_length(size_t cell) const {
  return std::min(cell_size, disk_size - cell * cell_size);
}

unsigned MapSummary::level(size_t cell) const {
  const uint64_t data = cell_data[cell];
  if (data == 0) {
    return 0;
  }
  const double share = static_cast<double>(data) / static_cast<double>(cell_length(cell));
  return share <= 0.25 ? 1 : share <= 0.5 ? 2 : share <= 0.75 ? 3 : 4;
}

int MapSummary::part_of(size_t cell) const {
  const uint64_t begin = cell * cell_size;
  const uint64_t end = begin + cell_length(cell);
  int best = -1;
  uint64_t most = 0;
  for (size_t i = 0; i < parts.size() && parts[i].partition->offset < end; ++i) {
    const uint64_t shared = overlap(begin, end, parts[i].partition->offset, parts[i].end);
    if (shared > most) {
      most = shared;
      best = static_cast<int>(i);
    }
  }
  return best;
}

MapSummary summarize(const Source& disk, const Contents& contents, size_t most_cells,
                     std::stop_token stop) {
  MapSummary summary;
  summary.disk_size = disk.size();
  summary.cell_size = choose_cell_size(disk.size(), most_cells);
  summary.cell_data.resize((disk.size() + summary.cell_size - 1) / summary.cell_size);
  summary.parts = parts_of(contents, disk.size());
  map_source(disk, [&](const MappedExtent& extent) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    add(extent, summary);
  });
  return summary;
}

std::string what_is_in(const Partition& partition) {
  if (partition.file_system) {
    return partition.file_system->type;
  }
  return partition.type_name.empty() ? partition.type : partition.type_name;
}

std::string name_of(const Partition& partition) {
  if (partition.file_system && !partition.file_system->label.empty()) {
    return partition.file_system->label;
  }
  return partition.name;
}

std::string percent(uint64_t part, uint64_t whole) {
  if (part == 0 || whole == 0) {
    return "0 %";
  }
  const double share = 100 * static_cast<double>(part) / static_cast<double>(whole);
  return share < 0.1 ? "< 0.1 %" : fmt::format("{:.1f} %", share);
}

}  // namespace vmferry::cli
