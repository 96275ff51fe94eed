// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/inspect/mbr.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "lib/core/endian.h"

namespace vmferry {
namespace {

constexpr size_t kTableOffset = 446;
constexpr size_t kEntrySize = 16;
constexpr unsigned kFirstLogical = 5;
// Linux stops at 100 empty links (block/partitions/msdos.c) and at 256 partitions.
constexpr unsigned kMostLinks = 128;
constexpr unsigned kLastCylinder = 1023;

Chs parse_chs(std::span<const std::byte> bytes, size_t at) {
  const unsigned sector = le8(bytes, at + 1);
  return {.cylinder = le8(bytes, at + 2) | (sector & 0xc0) << 2,
          .head = le8(bytes, at),
          .sector = sector & 0x3f};
}

std::string show(const Chs& chs) {
  return fmt::format("{}/{}/{}", chs.cylinder, chs.head, chs.sector);
}

Partition to_partition(const MbrEntry& entry, uint64_t base, unsigned number, PartitionRole role,
                       const std::string& disk_id) {
  return {.number = number,
          .role = role,
          .offset = (base + entry.start) * kMbrSector,
          .length = entry.sectors * kMbrSector,
          .type = fmt::format("{:#04x}", entry.type),
          .type_name = {},
          .name = {},
          .uuid = fmt::format("{}-{:02x}", disk_id.substr(2), number),
          .is_active = entry.boot == 0x80,
          .first_chs = entry.first_chs,
          .last_chs = entry.last_chs};
}

/// Reads the links of extended partitions into a table.
class MbrReader {
 public:
  MbrReader(const Source& disk, uint32_t disk_id) : disk_(disk) {
    table_.id = fmt::format("{:#010x}", disk_id);
  }

  PartitionTable read(const std::array<MbrEntry, 4>& entries) {
    unsigned number = 0;
    for (const MbrEntry& entry : entries) {
      ++number;
      if (!entry.is_used()) {
        if (entry.type != 0) {
          note("partition {} of type {:#04x} has no length", number, entry.type);
        }
        continue;
      }
      const auto role = entry.is_extended() ? PartitionRole::kExtended : PartitionRole::kPrimary;
      add(entry, 0, number, role);
    }
    for (const MbrEntry& entry : entries) {
      if (entry.is_used() && entry.is_extended()) {
        follow(entry);
      }
    }
    return std::move(table_);
  }

 private:
  template <typename... Args>
  void note(fmt::format_string<Args...> text, Args&&... args) {
    table_.notes.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  void add(const MbrEntry& entry, uint64_t base, unsigned number, PartitionRole role) {
    table_.partitions.push_back(to_partition(entry, base, number, role, table_.id));
    const uint64_t first = base + entry.start;
    if (auto odd = check_chs(entry.first_chs, entry.last_chs, first, first + entry.sectors - 1)) {
      note("partition {}: {}", number, *odd);
    }
  }

  // Logical partitions are a chain of tables, each with one partition (counted from that table) and
  // one link (counted from the beginning of the extended partition).
  void follow(const MbrEntry& extended) {
    const uint64_t begin = extended.start;
    uint64_t at = begin;
    while (true) {
      if (at >= disk_.size() / kMbrSector) {
        note("the chain of logical partitions goes on at sector {}, beyond the end of the disk",
             at);
        return;
      }
      if (!visited_.insert(at).second) {
        note("the chain of logical partitions comes back to sector {}", at);
        return;
      }
      if (visited_.size() > kMostLinks) {
        note("the chain of logical partitions has more than {} links", kMostLinks);
        return;
      }
      std::array<std::byte, kMbrSector> sector;
      disk_.read_at(at * kMbrSector, sector);
      const auto entries = parse_mbr_sector(sector);
      if (!entries) {
        note("the chain of logical partitions breaks off: sector {} is not a partition table", at);
        return;
      }
      const auto next = add_link(*entries, at, begin, extended.sectors);
      if (!next) {
        return;
      }
      at = *next;
    }
  }

  std::optional<uint64_t> add_link(const std::array<MbrEntry, 4>& entries, uint64_t at,
                                   uint64_t begin, uint64_t sectors) {
    std::optional<uint64_t> next;
    for (size_t i = 0; i < entries.size(); ++i) {
      const MbrEntry& entry = entries[i];
      if (!entry.is_used()) {
        continue;
      }
      if (entry.is_extended()) {
        if (!next) {
          next = begin + entry.start;
        }
        continue;
      }
      const uint64_t first = at + entry.start;
      const bool is_inside = first >= begin && first + entry.sectors <= begin + sectors;
      // Only two entries mean something; old systems left rubbish in the others.
      if (i >= 2 && !is_inside) {
        continue;
      }
      const unsigned number = next_logical_++;
      add(entry, at, number, PartitionRole::kLogical);
      if (!is_inside) {
        note("partition {} is not inside the extended partition", number);
      }
    }
    return next;
  }

  const Source& disk_;
  PartitionTable table_;
  std::set<uint64_t> visited_;
  unsigned next_logical_ = kFirstLogical;
};

struct Geometry {
  uint64_t heads;
  uint64_t sectors;

  bool maps(const Chs& chs, uint64_t sector) const {
    if (chs.cylinder == kLastCylinder) {
      return sector >= kLastCylinder * heads * sectors;
    }
    return chs.head < heads && chs.sector >= 1 && chs.sector <= sectors &&
           (chs.cylinder * heads + chs.head) * sectors + chs.sector - 1 == sector;
  }
};

}  // namespace

std::optional<std::array<MbrEntry, 4>> parse_mbr_sector(std::span<const std::byte> sector) {
  if (sector.size() < kMbrSector || le16(sector, 510) != 0xaa55) {
    return std::nullopt;
  }
  std::array<MbrEntry, 4> entries;
  for (size_t i = 0; i < entries.size(); ++i) {
    const size_t at = kTableOffset + i * kEntrySize;
    entries[i] = {.boot = le8(sector, at),
                  .type = le8(sector, at + 4),
                  .first_chs = parse_chs(sector, at + 1),
                  .last_chs = parse_chs(sector, at + 5),
                  .start = le32(sector, at + 8),
                  .sectors = le32(sector, at + 12)};
    if ((entries[i].boot & 0x7f) != 0) {
      return std::nullopt;
    }
  }
  return entries;
}

bool is_protective(const std::array<MbrEntry, 4>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const MbrEntry& entry) { return entry.type == 0xee; });
}

std::optional<PartitionTable> read_mbr(const Source& disk, std::span<const std::byte> sector) {
  const auto entries = parse_mbr_sector(sector);
  if (!entries) {
    return std::nullopt;
  }
  return MbrReader(disk, le32(sector, 440)).read(*entries);
}

std::optional<std::string> check_chs(const Chs& first, const Chs& last, uint64_t first_sector,
                                     uint64_t last_sector) {
  if (first == Chs() && last == Chs()) {
    return std::nullopt;  // nobody cared to fill them in
  }
  const bool is_sane = first.sector != 0 && last.sector != 0;
  // Tools that write no CHS mark it as too large, whatever the place (UEFI specification 5.2.1).
  const bool is_unused = first.cylinder == kLastCylinder && last.cylinder == kLastCylinder &&
                         first.head >= 254 && last.head >= 254;
  if (is_sane && is_unused) {
    return std::nullopt;
  }
  if (is_sane) {
    const Geometry own = {uint64_t{last.head} + 1, last.sector};
    for (const Geometry& geometry :
         {Geometry{255, 63}, Geometry{16, 63}, Geometry{240, 63}, Geometry{128, 63},
          Geometry{64, 63}, Geometry{32, 63}, Geometry{64, 32}, Geometry{2, 18}, own}) {
      if (geometry.maps(first, first_sector) && geometry.maps(last, last_sector)) {
        return std::nullopt;
      }
    }
  }
  return fmt::format(
      "its CHS addresses {} to {} are not those of sectors {} to {} in any usual geometry; the "
      "sectors count",
      show(first), show(last), first_sector, last_sector);
}

}  // namespace vmferry
