// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/inspect/probe.h"

#include <blkid/blkid.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <type_traits>

#include "lib/core/endian.h"
#include "lib/core/printable.h"
#include "lib/inspect/scratch.h"
#include "vmferry/error.h"

// libblkid reads from file descriptors only, and what we have is a Source: so it gets a file in
// memory as long as the partition, and as sparse, which holds the places where it looks. It looks
// at fixed places near both ends; the farthest are the second LUKS2 header (4 MiB from the start)
// and those of ZFS (512 KiB from the end). Only what boot sectors point to lies elsewhere.

namespace vmferry {
namespace {

constexpr uint64_t kHead = (uint64_t{4} << 20) + (uint64_t{64} << 10);
constexpr uint64_t kTail = uint64_t{1} << 20;
constexpr uint64_t kPointedTo = uint64_t{64} << 10;

struct FreeProbe {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<std::remove_pointer_t<blkid_probe>, FreeProbe>;

std::string value_of(blkid_probe probe, const char* name) {
  const char* data = nullptr;
  size_t length = 0;
  if (blkid_probe_lookup_value(probe, name, &data, &length) != 0 || data == nullptr) {
    return {};
  }
  const std::string text(data, length);
  return printable(text.substr(0, text.find('\0')));
}

// Four boot sectors point to places without which libblkid does not believe them, or finds no
// label. Where that is, as their fields say (libblkid: ntfs.c, vfat.c, exfat.c, bitlocker.c); any
// number, unchecked: what lies outside is not copied.
std::vector<uint64_t> places_pointed_to(std::span<const std::byte> boot) {
  const auto is = [&](size_t at, std::string_view text) {
    return boot.size() >= at + text.size() &&
           std::equal(text.begin(), text.end(), boot.begin() + static_cast<ptrdiff_t>(at),
                      [](char c, std::byte b) { return static_cast<std::byte>(c) == b; });
  };
  const uint64_t sector = le16(boot, 11);
  const uint64_t cluster = sector * le8(boot, 13);
  if (is(3, "NTFS    ")) {
    return {le64(boot, 48) * cluster};
  }
  if (is(3, "-FVE-FS-")) {
    return {le64(boot, 176), le64(boot, 184), le64(boot, 192)};
  }
  if (is(3, "EXFAT   ")) {
    const unsigned sector_bits = le8(boot, 108) & 31;
    const unsigned cluster_bits = sector_bits + (le8(boot, 109) & 31);
    const uint64_t root = uint64_t{le32(boot, 96)} - 2;
    return {(uint64_t{le32(boot, 88)} << sector_bits) + (root << cluster_bits)};
  }
  if (is(82, "FAT32   ")) {
    const uint64_t fats = uint64_t{le8(boot, 16)} * le32(boot, 36) * sector;
    const uint64_t root = uint64_t{le32(boot, 44)} - 2;
    return {le16(boot, 14) * sector + fats + root * cluster};
  }
  return {};
}

ScratchFile copy_of(const Source& disk, uint64_t offset, uint64_t length) {
  ScratchFile file(length, disk.name());
  const uint64_t head = std::min(length, kHead);
  file.fill(disk, offset, 0, head);
  const uint64_t tail = std::max(head, length - std::min(length, kTail));
  file.fill(disk, offset, tail, length - tail);
  for (const uint64_t place : places_pointed_to(file.read(0, 512))) {
    if (place < length) {
      file.fill(disk, offset, place, std::min(kPointedTo, length - place));
    }
  }
  return file;
}

// The names of all that it could be: "ext4 and linux_raid_member".
std::string candidates(blkid_probe probe) {
  std::string names;
  blkid_reset_probe(probe);
  while (blkid_do_probe(probe) == 0) {
    const std::string type = value_of(probe, "TYPE");
    if (type.empty()) {
      continue;
    }
    names += names.empty() ? type : " and " + type;
  }
  return names;
}

}  // namespace

std::optional<FileSystem> probe_file_system(const Source& disk, uint64_t offset, uint64_t length,
                                            std::vector<std::string>& notes) {
  if (length == 0) {
    return std::nullopt;
  }
  const ScratchFile file = copy_of(disk, offset, length);
  const Probe probe(blkid_new_probe());
  if (!probe || blkid_probe_set_device(probe.get(), file.fd(), 0, 0) != 0) {
    throw errno_error(errno != 0 ? errno : ENOMEM, disk.name(), "look for a file system", offset);
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
                                                     BLKID_SUBLKS_VERSION | BLKID_SUBLKS_LABEL |
                                                     BLKID_SUBLKS_UUID);
  const int rc = blkid_do_safeprobe(probe.get());
  if (rc == -2) {
    notes.push_back("several things at once: " + candidates(probe.get()));
    return std::nullopt;
  }
  if (rc != 0) {
    return std::nullopt;
  }
  FileSystem found = {.type = value_of(probe.get(), "TYPE"),
                      .usage = value_of(probe.get(), "USAGE"),
                      .version = value_of(probe.get(), "VERSION"),
                      .label = value_of(probe.get(), "LABEL"),
                      .uuid = value_of(probe.get(), "UUID")};
  if (found.type.empty()) {
    return std::nullopt;
  }
  return found;
}

}  // namespace vmferry
