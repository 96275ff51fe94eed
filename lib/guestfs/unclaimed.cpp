// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>

#include "lib/core/format_bytes.h"
#include "lib/guestfs/guest_trim.h"
#include "vmferry/error.h"
#include "vmferry/inspect.h"

namespace vmferry {
namespace {

constexpr const char* kDisk = "/dev/sda";
constexpr uint64_t kMiB = 1 << 20;

/// `device` as the kernel calls it.
void discard(Appliance& appliance, const std::string& device, const Extent& range) {
  // --force: the device may be in use by what lies in other places of it.
  appliance.shell(fmt::format("blkdiscard --force --offset {} --length {} {}", range.offset,
                              range.length, quoted(device)));
}

struct FreeSegment {
  std::string device;
  Extent range;
};

/// LVM's own word on what it has free, for every volume group that is complete.
std::map<std::string, std::vector<FreeSegment>> lvm_free(Appliance& appliance) {
  std::map<std::string, std::vector<FreeSegment>> groups;
  std::istringstream lines(appliance.shell(
      "lvm pvs --segments --noheadings --units b --nosuffix --separator ' ' -o "
      "vg_name,pv_name,pe_start,vg_extent_size,pvseg_start,pvseg_size,vg_missing_pv_count,segtype "
      "-S 'segtype=free && vg_name!=\"\"' 2>/dev/null"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string group, device, type;
    uint64_t begin = 0, extent = 0, first = 0, count = 0, missing = 0;
    if (!(fields >> group >> device >> begin >> extent >> first >> count >> missing >> type)) {
      continue;
    }
    constexpr uint64_t kMost = uint64_t{1} << 62;
    if (type != "free" || missing != 0 || extent == 0 || count == 0) {
      continue;
    }
    if (first > kMost / extent || count > kMost / extent) {
      continue;
    }
    groups[group].push_back({device, {begin + first * extent, count * extent, ExtentKind::kZero}});
  }
  return groups;
}

}  // namespace

std::vector<Extent> gaps_between_partitions(const Source& disk) {
  const std::optional<PartitionTable> table = inspect(disk).table;
  if (!table || table->partitions.empty()) {
    return {};
  }
  std::vector<Extent> taken;
  for (const Partition& part : table->partitions) {
    if (part.offset > disk.size() || part.length > disk.size() - part.offset) {
      return {};
    }
    taken.push_back({part.offset, part.length, ExtentKind::kData});
  }
  std::sort(taken.begin(), taken.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> found;
  uint64_t end = taken.front().end();
  auto note = [&](uint64_t until) {
    const uint64_t from = (end + kMiB - 1) / kMiB * kMiB;
    const uint64_t to = until / kMiB * kMiB;
    if (from < to) {
      found.push_back({from, to - from, ExtentKind::kZero});
    }
  };
  for (const Extent& part : taken) {
    note(part.offset);
    end = std::max(end, part.end());
  }
  if (disk.size() > kMiB) {
    note(disk.size() - kMiB);
  }
  return found;
}

std::vector<TrimmedPart> trim_unclaimed(Appliance& appliance, const std::vector<Extent>& gaps,
                                        const Meter& meter) {
  std::vector<TrimmedPart> parts;
  for (const Extent& gap : gaps) {
    TrimmedPart part;
    part.name = "gap at " + about_bytes(gap.offset);
    part.type = "gap";
    part.size = gap.length;
    part.dropped =
        metered(appliance, meter, [&] { discard(appliance, appliance.kernel_name(kDisk), gap); });
    parts.push_back(std::move(part));
  }
  for (const auto& [group, segments] : lvm_free(appliance)) {
    TrimmedPart part;
    part.name = "free extents of " + group;
    part.type = "lvm";
    part.dropped = metered(appliance, meter, [&, &free = segments] {
      for (const FreeSegment& segment : free) {
        part.size += segment.range.length;
        discard(appliance, segment.device, segment.range);
      }
    });
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace vmferry
