// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lib/inspect/gpt.h"
#include "lib/inspect/mbr.h"
#include "lib/inspect/probe.h"
#include "lib/inspect/type_names.h"

namespace vmferry {
namespace {

// Each costs a few MiB of reading. A table may have more: they are listed, but not looked into.
constexpr size_t kMostProbed = 128;

// A boot sector of these ends as an MBR does, and what stands where the table would be is code.
bool has_boot_sector(const std::optional<FileSystem>& found) {
  return found && (found->type == "vfat" || found->type == "ntfs" || found->type == "exfat" ||
                   found->type == "BitLocker");
}

std::optional<PartitionTable> read_table(const Source& disk, Contents& contents) {
  if (disk.size() < kMbrSector) {
    return std::nullopt;
  }
  std::array<std::byte, kMbrSector> sector;
  disk.read_at(0, sector);
  const auto entries = parse_mbr_sector(sector);
  if (!entries) {
    return std::nullopt;
  }
  if (is_protective(*entries)) {
    if (auto table = read_gpt(disk)) {
      if (std::count_if(entries->begin(), entries->end(),
                        [](const MbrEntry& entry) { return entry.type != 0; }) > 1) {
        table->notes.push_back("there is an MBR with partitions of its own (hybrid MBR)");
      }
      return table;
    }
    contents.notes.push_back("the MBR announces a GPT, but there is none that can be read");
  }
  return read_mbr(disk, sector);
}

void note_places(const Source& disk, PartitionTable& table) {
  std::vector<const Partition*> in_order;
  for (const Partition& partition : table.partitions) {
    if (partition.end() > disk.size() && partition.type != "0xee") {
      table.notes.push_back(fmt::format("partition {} ends at byte {}, beyond the end of the disk",
                                        partition.number, partition.end()));
    }
    if (partition.role != PartitionRole::kExtended && partition.length > 0) {
      in_order.push_back(&partition);
    }
  }
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const Partition* a, const Partition* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < in_order.size(); ++i) {
    if (in_order[i]->offset < in_order[i - 1]->end()) {
      table.notes.push_back(fmt::format("partitions {} and {} overlap", in_order[i - 1]->number,
                                        in_order[i]->number));
    }
  }
}

void probe_partitions(const Source& disk, PartitionTable& table) {
  size_t probed = 0;
  for (Partition& partition : table.partitions) {
    // The copy that is looked at is as long as the partition: one that is cut is not known any more
    // by what lies at its end, but by what lies at its beginning.
    const bool is_guard = partition.role == PartitionRole::kExtended || partition.type == "0xee";
    if (is_guard || partition.length == 0 || partition.offset >= disk.size()) {
      continue;
    }
    if (++probed > kMostProbed) {
      table.notes.push_back(
          fmt::format("only the first {} partitions were looked into", kMostProbed));
      return;
    }
    std::vector<std::string> notes;
    partition.file_system = probe_file_system(
        disk, partition.offset, std::min(partition.length, disk.size() - partition.offset), notes);
    for (const std::string& note : notes) {
      table.notes.push_back(fmt::format("partition {} looks like {}", partition.number, note));
    }
  }
}

}  // namespace

Contents inspect(const Source& disk) {
  Contents contents;
  std::vector<std::string> notes;
  contents.whole_disk = probe_file_system(disk, 0, disk.size(), notes);
  for (const std::string& note : notes) {
    contents.notes.push_back("the disk looks like " + note);
  }
  if (!has_boot_sector(contents.whole_disk)) {
    contents.table = read_table(disk, contents);
  }
  if (contents.table) {
    name_types(*contents.table);
    note_places(disk, *contents.table);
    probe_partitions(disk, *contents.table);
  }
  return contents;
}

}  // namespace vmferry
