// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "lib/core/endian.h"
#include "lib/core/format_bytes.h"
#include "lib/format/foreign/image_bytes.h"
#include "lib/format/foreign/prepare.h"

// VHD, VDI, QED and Parallels: what has to be checked of each is little.

namespace vmferry {
namespace {

bool is_all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

constexpr std::string_view kVhdCookie = "conectix";

struct VhdFooter {
  std::vector<std::byte> bytes;
  uint64_t at;  ///< 0: the copy with which a dynamic disk begins

  static constexpr uint64_t kTypeAt = 60;

  uint32_t type() const { return be32(bytes, kTypeAt); }
  uint64_t disk_size() const { return be64(bytes, 48); }  ///< "current size", bytes
  uint64_t header_at() const { return be64(bytes, 16); }
};

VhdFooter vhd_footer(const Source& file) {
  constexpr size_t kLeast = 511;  // of an old Virtual PC
  if (file.size() < kLeast) {
    throw corrupt_image(file, 0, "a VHD has a footer of 512 bytes");
  }
  auto start = image_bytes(file, 0, kLeast, "footer");
  if (text_at(start, 0, kVhdCookie.size()) == kVhdCookie) {
    return {std::move(start), 0};
  }
  const uint64_t at = (file.size() - 1) / kImageSector * kImageSector;
  auto end = image_bytes(file, at, file.size() - at, "footer");
  if (end.size() < kLeast || text_at(end, 0, kVhdCookie.size()) != kVhdCookie) {
    throw corrupt_image(file, at, "here should be its footer");
  }
  return {std::move(end), at};
}

void check_vhd_blocks(const Source& file, const VhdFooter& footer) {
  constexpr uint64_t kNone = 0xffffffff;
  const uint64_t at = footer.header_at();
  const auto header = image_bytes(file, at, 36, "header");
  const uint64_t block = be32(header, 32);
  if (text_at(header, 0, 8) != "cxsparse" || block < kImageSector) {
    throw corrupt_image(file, at, "here should be the header of a dynamic disk");
  }
  // Which sectors of a block are there: a bit each, in whole sectors.
  const uint64_t bits = (block / kImageSector + 7) / 8;
  const uint64_t bitmap = (bits + kImageSector - 1) / kImageSector * kImageSector;
  const ImageTable table = {
      .offset = be64(header, 16), .entries = be32(header, 28), .what = "block table"};
  TableWalker(file).walk(table, [&](uint64_t index, uint64_t entry) {
    const uint64_t sector = __builtin_bswap32(static_cast<uint32_t>(entry));
    if (sector != kNone) {
      check_place(file, index * block, sector * kImageSector + bitmap, block);
    }
  });
}

/// The kind has to be that of the place: QEMU goes by the place alone, others by the kind.
void check_vhd_kind(const Source& file, const VhdFooter& footer) {
  constexpr uint32_t kFixed = 2;
  constexpr uint32_t kDynamic = 3;
  constexpr uint32_t kDifferencing = 4;
  if (footer.type() == kDifferencing) {
    throw parent_missing(file, "differencing VHD");
  }
  const bool begins_with_it = footer.at == 0;
  if (footer.type() != (begins_with_it ? kDynamic : kFixed)) {
    throw corrupt_image(file, footer.at + VhdFooter::kTypeAt,
                        begins_with_it
                            ? "it begins with a footer, as a dynamic disk does, but calls itself "
                              "another kind"
                            : "it has a footer at its end only, as a fixed disk has, but calls "
                              "itself another kind");
  }
}

void check_vhd_data(const Source& file, const VhdFooter& footer) {
  if (footer.at == 0) {
    check_vhd_blocks(file, footer);
  } else if (footer.disk_size() > footer.at) {
    throw corrupt_image(file, footer.at,
                        fmt::format("here its disk ends, but its footer says that it has {}",
                                    exact_bytes(footer.disk_size())));
  }
}

struct VdiLayout {
  uint64_t disk_size;
  uint32_t block_size;
  uint32_t blocks;
  uint64_t map_at;
  uint64_t data_at;
};

VdiLayout read_vdi_header(const Source& file) {
  constexpr size_t kHeader = 0x200;
  constexpr uint32_t kMostBlocks = 0x3fffffff;
  constexpr uint32_t kTypeDynamic = 1;
  constexpr uint32_t kTypeFixed = 2;
  const auto header = image_bytes(file, 0, kHeader, "header");
  const uint32_t type = le32(header, 0x4c);
  const bool has_parent = !is_all_zero(std::span(header).subspan(0x1b8, 16));  // its UUID
  if (has_parent || (type != kTypeDynamic && type != kTypeFixed)) {
    throw parent_missing(file, "differencing or undo VDI");
  }
  const VdiLayout layout = {.disk_size = le64(header, 0x170),
                            .block_size = le32(header, 0x178),
                            .blocks = le32(header, 0x180),
                            .map_at = le32(header, 0x154),
                            .data_at = le32(header, 0x158)};
  if (layout.block_size == 0 || layout.blocks > kMostBlocks ||
      layout.disk_size > uint64_t{layout.blocks} * layout.block_size) {
    throw corrupt_image(file, 0x170, "its blocks do not cover the disk");
  }
  return layout;
}

/// Two levels of tables with 64 bits for a place in bytes.
void check_qed_clusters(const Source& file, std::span<const std::byte> header) {
  constexpr uint64_t kFirstPlace = 2;  // 0 and 1: not there, zeros
  constexpr uint64_t kMostCluster = 64 << 20;
  constexpr uint64_t kMostTable = 16;  // clusters
  const uint64_t cluster = le32(header, 4);
  const uint64_t table_clusters = le32(header, 8);
  const uint64_t size = le64(header, 48);
  const uint64_t entries = table_clusters * cluster / 8;
  if (entries == 0 || cluster > kMostCluster || table_clusters > kMostTable) {
    throw corrupt_image(file, 4, "its header says sizes that cannot be");
  }
  const uint64_t span = entries * cluster;  // of the disk, by one table
  TableWalker walker(file);
  const auto check_table = [&](uint64_t first, uint64_t place) {
    const ImageTable table = {place, entries, 8, "L2 table"};
    walker.walk(table, [&](uint64_t index, uint64_t entry) {
      const uint64_t at = first + index * cluster;
      if (entry >= kFirstPlace && at < size) {
        check_place(file, at, entry, std::min(cluster, size - at));
      }
    });
  };
  const uint64_t tables = std::min(entries, size / span + 1);
  walker.walk({le64(header, 40), tables, 8, "L1 table"}, [&](uint64_t index, uint64_t place) {
    if (place != 0) {
      check_table(index * span, place);
    }
  });
}

}  // namespace

std::unique_ptr<QemuImage> prepare_vhd(std::unique_ptr<Source> file, FormatGate& /*gate*/) {
  const VhdFooter footer = vhd_footer(*file);
  check_vhd_kind(*file, footer);
  check_vhd_data(*file, footer);
  auto image = as_qemu_reads(std::move(file), "vpc", footer.disk_size());
  // Before 10.0, QEMU takes the whole cylinders of the geometry for the disk unless it knows that
  // the program that made it writes sizes (block/vpc.c).
  image->options["force_size_calc"] = "current_size";
  return image;
}

std::unique_ptr<QemuImage> prepare_vdi(std::unique_ptr<Source> file, FormatGate& /*gate*/) {
  constexpr uint32_t kFirstOfNone = 0xfffffffe;  // zeros, or nothing
  const VdiLayout layout = read_vdi_header(*file);
  const ImageTable map = {.offset = layout.map_at, .entries = layout.blocks, .what = "block map"};
  TableWalker(*file).walk(map, [&](uint64_t index, uint64_t entry) {
    const uint64_t at = index * layout.block_size;
    if (entry >= kFirstOfNone || at >= layout.disk_size) {
      return;
    }
    check_place(*file, at, layout.data_at + entry * layout.block_size,
                std::min<uint64_t>(layout.block_size, layout.disk_size - at));
  });
  return as_qemu_reads(std::move(file), "vdi", layout.disk_size);
}

void describe_qed(const Source& file, ImageFacts& facts, std::vector<std::string>& /*damage*/) {
  facts.virtual_size = le64(image_bytes(file, 48, 8, "header"), 0);
}

std::unique_ptr<QemuImage> prepare_qed(std::unique_ptr<Source> file, FormatGate& gate) {
  constexpr size_t kHeader = 64;
  constexpr uint64_t kHasBackingFile = 1;
  constexpr uint64_t kBackingFileIsRaw = 4;
  constexpr uint32_t kLongestName = 1023;  // QEMU's
  const auto header = image_bytes(*file, 0, kHeader, "header");
  const uint64_t features = le64(header, 16);
  check_qed_clusters(*file, header);
  auto image = as_qemu_reads(std::move(file), "qed", le64(header, 48));
  if ((features & kHasBackingFile) == 0) {
    return image;
  }
  const uint32_t length = le32(header, 60);
  if (length == 0 || length > kLongestName) {
    throw corrupt_image(*image->file, 60, "the name of its backing file has an impossible length");
  }
  const auto name = image_bytes(*image->file, le32(header, 56), length, "backing file's name");
  image->backing = gate.open_parent(std::string(text_at(name, 0, name.size())),
                                    (features & kBackingFileIsRaw) != 0
                                        ? std::optional(std::string(ImageFormat().name()))
                                        : std::nullopt);
  return image;
}

std::unique_ptr<QemuImage> prepare_parallels(std::unique_ptr<Source> file, FormatGate& /*gate*/) {
  constexpr size_t kHeader = 64;
  constexpr std::string_view kCountsClusters = "WithouFreSpacExt";
  const auto header = image_bytes(*file, 0, kHeader, "header");
  const uint64_t cluster_sectors = le32(header, 28);
  const bool counts_clusters = text_at(header, 0, kCountsClusters.size()) == kCountsClusters;
  // The old format has 32 bits for it, and something else after them.
  const uint64_t sectors = counts_clusters ? le64(header, 36) : le32(header, 36);
  if (cluster_sectors == 0 || sectors > UINT64_MAX / kImageSector) {
    throw corrupt_image(*file, 28, "its header says sizes that cannot be");
  }
  const uint64_t unit = kImageSector * (counts_clusters ? cluster_sectors : 1);
  const uint64_t cluster = kImageSector * cluster_sectors;
  const uint64_t size = sectors * kImageSector;
  const ImageTable table = {.offset = kHeader, .entries = le32(header, 32), .what = "block table"};
  if (table.entries < size / cluster + (size % cluster != 0 ? 1 : 0)) {
    throw corrupt_image(*file, 32, "its blocks do not cover the disk");
  }
  TableWalker(*file).walk(table, [&](uint64_t index, uint64_t entry) {
    const uint64_t at = index * cluster;
    if (entry == 0 || at >= size) {
      return;
    }
    if (entry > UINT64_MAX / unit) {
      throw corrupt_image(*file, kHeader + 4 * index, "a place that cannot be");
    }
    check_place(*file, at, entry * unit, std::min(cluster, size - at));
  });
  return as_qemu_reads(std::move(file), "parallels", size);
}

}  // namespace vmferry
