// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/vmdk_sparse.h"

#include <algorithm>
#include <string_view>

#include "lib/core/endian.h"
#include "lib/format/foreign/image_bytes.h"

namespace vmferry {
namespace {

constexpr uint64_t kMostGrainSectors = 0x200000;  // QEMU's
constexpr uint64_t kMostTables = 32 << 20;        // QEMU's
constexpr uint64_t kMostSparseSectors = uint64_t{1} << 53;

/// Two levels of tables with 32 bits for a place in sectors.
struct GrainTables {
  uint64_t sectors;  ///< of the guest's disk
  uint64_t grain_sectors;
  uint64_t directory_at;   ///< bytes
  uint64_t table_entries;  ///< of each table
  uint64_t tables;
  uint64_t least_bytes;  ///< of a grain in the file, where it is packed; 0: all of it
  bool has_zero_grains;  ///< a place of 1 means zeros
};

std::string mark_of(const Source& file) {
  constexpr size_t kMark = 4;
  std::string mark(std::min<uint64_t>(kMark, file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(mark)));
  return mark;
}

void check_sizes(const Source& file, const GrainTables& tables) {
  if (tables.sectors == 0 || tables.sectors > kMostSparseSectors || tables.grain_sectors == 0 ||
      tables.grain_sectors > kMostGrainSectors || tables.table_entries == 0 ||
      tables.tables > kMostTables || tables.directory_at > kMostSparseSectors) {
    throw corrupt_image(file, 0, "its header says sizes that cannot be");
  }
}

/// Of [first, first + the table's) sectors of the guest's disk.
void check_table(const Source& file, TableWalker& walker, const GrainTables& tables, uint64_t first,
                 uint64_t place) {
  const uint64_t grains =
      (tables.sectors - first + tables.grain_sectors - 1) / tables.grain_sectors;
  const ImageTable table = {.offset = place * kImageSector,
                            .entries = std::min(tables.table_entries, grains),
                            .what = "grain table"};
  walker.walk(table, [&](uint64_t index, uint64_t entry) {
    if (entry == 0 || (entry == 1 && tables.has_zero_grains)) {
      return;
    }
    const uint64_t at = first + index * tables.grain_sectors;
    const uint64_t held = std::min(tables.grain_sectors, tables.sectors - at);
    check_place(file, at * kImageSector, entry * kImageSector,
                tables.least_bytes != 0 ? tables.least_bytes : held * kImageSector);
  });
}

void check_grains(const Source& file, const GrainTables& tables, uint64_t most_tables) {
  check_sizes(file, tables);
  const uint64_t span = tables.table_entries * tables.grain_sectors;
  TableWalker walker(file, most_tables);
  walker.walk({.offset = tables.directory_at, .entries = tables.tables, .what = "grain directory"},
              [&](uint64_t which, uint64_t place) {
                if (place != 0 && which * span < tables.sectors) {
                  check_table(file, walker, tables, which * span, place);
                }
              });
}

/// The header with the places of the tables: the one at the end, where that at the start says so.
std::vector<std::byte> final_header(const Source& file, std::vector<std::byte> header) {
  constexpr uint64_t kAtTheEnd = UINT64_MAX;
  constexpr uint64_t kFooter = 1024;  // from the end of the file
  constexpr uint64_t kEndBytes = 3 * kImageSector;
  if (le64(header, 56) != kAtTheEnd) {
    return header;
  }
  // QEMU counts from the end of a sector that was begun, and would read another footer than we do.
  if (file.size() < kEndBytes || file.size() % kImageSector != 0) {
    throw corrupt_image(file, file.size(),
                        "a stream ends with a sector each for a mark, its footer and its end");
  }
  std::vector<std::byte> footer = image_bytes(file, file.size() - kFooter, header.size(), "footer");
  if (!std::equal(footer.begin(), footer.begin() + 4, header.begin())) {
    throw corrupt_image(file, file.size() - kFooter,
                        "here should be its footer; a stream that was cut has none");
  }
  return footer;
}

VmdkSparse check_hosted(const Source& file, uint64_t most_tables) {
  constexpr size_t kHeader = 80;
  constexpr uint32_t kHasZeroGrains = 1 << 2;
  constexpr uint64_t kMarker = 12;  // before each packed grain
  const auto start = image_bytes(file, 0, kHeader, "header");
  const VmdkSparse sparse = {.sectors = le64(start, 12),
                             .descriptor_at = le64(start, 28) * kImageSector,
                             .descriptor_bytes = le64(start, 36) * kImageSector};
  if (sparse.sectors == 0) {
    throw unsupported_image(file, "it holds no data, but names other files",
                            "export the disk as one file, or as a split one with a descriptor");
  }
  const auto header = final_header(file, start);
  const bool is_packed = le16(header, 77) == 1;
  const uint64_t entries = le32(header, 44);
  const uint64_t grain = le64(header, 20);
  GrainTables tables = {.sectors = le64(header, 12),
                        .grain_sectors = grain,
                        .directory_at = le64(header, 56),
                        .table_entries = entries,
                        .tables = 0,
                        .least_bytes = is_packed ? kMarker : 0,
                        .has_zero_grains = (le32(header, 8) & kHasZeroGrains) != 0};
  check_sizes(file, tables);
  if (tables.sectors != sparse.sectors) {
    throw corrupt_image(file, 12, "its header and its footer say other sizes");
  }
  tables.directory_at *= kImageSector;
  const uint64_t span = entries * grain;
  tables.tables = (tables.sectors + span - 1) / span;
  check_grains(file, tables, most_tables);
  return sparse;
}

VmdkSparse check_esx(const Source& file, uint64_t most_tables) {
  constexpr size_t kHeader = 32;
  constexpr uint64_t kTableEntries = 4096;
  const auto header = image_bytes(file, 0, kHeader, "header");
  const GrainTables tables = {.sectors = le32(header, 12),
                              .grain_sectors = le32(header, 16),
                              .directory_at = le32(header, 20) * kImageSector,
                              .table_entries = kTableEntries,
                              .tables = le32(header, 24),
                              .least_bytes = 0,
                              .has_zero_grains = false};
  check_grains(file, tables, most_tables);
  return {.sectors = tables.sectors};
}

}  // namespace

bool is_vmdk_sparse(const Source& file) {
  const std::string mark = mark_of(file);
  return mark == "KDMV" || mark == "COWD";
}

VmdkSparse check_vmdk_sparse(const Source& file, uint64_t most_tables) {
  return mark_of(file) == "COWD" ? check_esx(file, most_tables) : check_hosted(file, most_tables);
}

}  // namespace vmferry
