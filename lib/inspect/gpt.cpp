// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/inspect/gpt.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "lib/core/endian.h"
#include "lib/core/printable.h"
#include "lib/core/utf8.h"

namespace vmferry {
namespace {

constexpr uint64_t kSignature = 0x5452415020494645;  // "EFI PART"
constexpr uint32_t kMinHeader = 92;
constexpr uint32_t kMinEntry = 128;
constexpr uint32_t kMaxEntry = 4096;
// The usual table has 128 entries of 128 bytes: 16 KiB. Nobody needs a hundred times that.
constexpr uint64_t kMaxTable = uint64_t{2} << 20;
constexpr size_t kNameUnits = 36;

uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// UTF-16LE up to the first NUL.
std::string parse_name(std::span<const std::byte> bytes) {
  std::vector<uint16_t> units;
  for (size_t i = 0; i < kNameUnits; ++i) {
    const uint16_t unit = le16(bytes, i * 2);
    if (unit == 0) {
      break;
    }
    units.push_back(unit);
  }
  return printable(utf8_of(units));
}

bool is_nil(std::span<const std::byte> guid) { return le64(guid, 0) == 0 && le64(guid, 8) == 0; }

/// Reads one copy of the table.
class GptReader {
 public:
  GptReader(const Source& disk, uint32_t sector_size)
      : disk_(disk), sector_size_(sector_size), sectors_(disk.size() / sector_size) {}

  uint64_t sectors() const { return sectors_; }

  GptParse header_at(uint64_t lba) const {
    if (lba >= sectors_) {
      return {std::nullopt, "it lies beyond the end of the disk"};
    }
    std::vector<std::byte> sector(sector_size_);
    disk_.read_at(lba * sector_size_, sector);
    return parse_gpt_header(sector, lba);
  }

  /// Nothing: the entries cannot be read, or their checksum is wrong; `cause` says why.
  std::optional<std::vector<Partition>> partitions(const GptHeader& header,
                                                   std::string& cause) const {
    const uint64_t bytes = uint64_t{header.entries} * header.entry_size;
    if (header.entries_lba >= sectors_ || bytes > (sectors_ - header.entries_lba) * sector_size_) {
      cause = "its entries lie beyond the end of the disk";
      return std::nullopt;
    }
    std::vector<std::byte> entries(bytes);
    disk_.read_at(header.entries_lba * sector_size_, entries);
    if (crc_of(entries) != header.entries_crc) {
      cause = "the checksum of its entries is wrong";
      return std::nullopt;
    }
    std::vector<Partition> found;
    for (uint32_t i = 0; i < header.entries; ++i) {
      const auto entry = std::span(entries).subspan(size_t{i} * header.entry_size, kMinEntry);
      if (!is_nil(entry.first(16))) {
        found.push_back(parse_entry(entry, i + 1));
      }
    }
    return found;
  }

 private:
  Partition parse_entry(std::span<const std::byte> entry, unsigned number) const {
    const uint64_t most = UINT64_MAX / sector_size_ - 1;
    const uint64_t first = std::min(le64(entry, 32), most);
    const uint64_t last = std::min(le64(entry, 40), most);
    return {.number = number,
            .offset = first * sector_size_,
            .length = last < first ? 0 : (last - first + 1) * sector_size_,
            .type = format_guid(entry.first(16)),
            .type_name = {},
            .name = parse_name(entry.subspan(56)),
            .uuid = format_guid(entry.subspan(16, 16)),
            .attributes = le64(entry, 48)};
  }

  const Source& disk_;
  const uint32_t sector_size_;
  const uint64_t sectors_;
};

PartitionTable make_table(const GptHeader& header, uint32_t sector_size,
                          std::vector<Partition> partitions) {
  return {.scheme = PartitionScheme::kGpt,
          .id = header.disk_id,
          .sector_size = sector_size,
          .partitions = std::move(partitions),
          .notes = {}};
}

// The primary copy is good: what about the other?
void note_backup(const GptReader& reader, const GptHeader& header, PartitionTable& table) {
  const GptParse backup = reader.header_at(header.other_lba);
  if (!backup.header) {
    table.notes.push_back(fmt::format("the backup GPT in sector {} is of no use: {}",
                                      header.other_lba, backup.cause));
  } else if (header.other_lba + 1 < reader.sectors()) {
    table.notes.push_back(
        "the backup GPT is not at the end of the disk, as after the disk was enlarged; 'sgdisk -e' "
        "moves it");
  }
}

std::optional<PartitionTable> read_primary(const GptReader& reader, uint32_t sector_size,
                                           std::string& cause) {
  const GptParse primary = reader.header_at(1);
  cause = primary.cause;
  if (!primary.header) {
    return std::nullopt;
  }
  auto partitions = reader.partitions(*primary.header, cause);
  if (!partitions) {
    return std::nullopt;
  }
  PartitionTable table = make_table(*primary.header, sector_size, std::move(*partitions));
  note_backup(reader, *primary.header, table);
  return table;
}

std::optional<PartitionTable> read_backup(const GptReader& reader, uint32_t sector_size,
                                          const std::string& cause) {
  if (reader.sectors() < 3) {
    return std::nullopt;
  }
  const GptParse backup = reader.header_at(reader.sectors() - 1);
  if (!backup.header) {
    return std::nullopt;
  }
  std::string ignored;
  auto partitions = reader.partitions(*backup.header, ignored);
  if (!partitions) {
    return std::nullopt;
  }
  PartitionTable table = make_table(*backup.header, sector_size, std::move(*partitions));
  table.notes.push_back(
      "this is the backup GPT at the end of the disk; the first one is of no "
      "use: " +
      cause);
  return table;
}

}  // namespace

std::string format_guid(std::span<const std::byte> bytes) {
  std::string tail;
  for (size_t i = 8; i < 16; ++i) {
    tail += fmt::format("{:02X}", le8(bytes, i));
  }
  return fmt::format("{:08X}-{:04X}-{:04X}-{}-{}", le32(bytes, 0), le16(bytes, 4), le16(bytes, 6),
                     tail.substr(0, 4), tail.substr(4));
}

GptParse parse_gpt_header(std::span<const std::byte> sector, uint64_t lba) {
  if (le64(sector, 0) != kSignature) {
    return {std::nullopt, "there is no GPT header"};
  }
  const uint32_t length = le32(sector, 12);
  if (length < kMinHeader || length > sector.size()) {
    return {std::nullopt, fmt::format("its header says that it is {} bytes long", length)};
  }
  std::vector<std::byte> copy(sector.begin(), sector.begin() + length);
  std::fill_n(copy.begin() + 16, 4, std::byte{0});  // the checksum is made with itself as 0
  if (crc_of(copy) != le32(sector, 16)) {
    return {std::nullopt, "the checksum of its header is wrong"};
  }
  const GptHeader header = {.own_lba = le64(sector, 24),
                            .other_lba = le64(sector, 32),
                            .disk_id = format_guid(sector.subspan(56, 16)),
                            .entries_lba = le64(sector, 72),
                            .entries = le32(sector, 80),
                            .entry_size = le32(sector, 84),
                            .entries_crc = le32(sector, 88)};
  if (header.own_lba != lba) {
    return {std::nullopt, fmt::format("its header says that it is in sector {}", header.own_lba)};
  }
  if (header.entry_size < kMinEntry || header.entry_size > kMaxEntry ||
      header.entry_size % 8 != 0) {
    return {std::nullopt, fmt::format("its entries are {} bytes long", header.entry_size)};
  }
  if (uint64_t{header.entries} * header.entry_size > kMaxTable) {
    return {std::nullopt, fmt::format("it has {} entries", header.entries)};
  }
  return {header, {}};
}

std::optional<PartitionTable> read_gpt(const Source& disk) {
  std::string first_cause;
  for (const uint32_t sector_size : {512U, 4096U}) {
    std::string cause;
    if (auto table = read_primary(GptReader(disk, sector_size), sector_size, cause)) {
      return table;
    }
    if (sector_size == 512) {
      first_cause = cause;
    }
  }
  for (const uint32_t sector_size : {512U, 4096U}) {
    if (auto table = read_backup(GptReader(disk, sector_size), sector_size, first_cause)) {
      return table;
    }
  }
  return std::nullopt;
}

}  // namespace vmferry
