// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <span>

#include "lib/core/endian.h"
#include "lib/guestfs/guest_trim.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr const char* kDirty = "was not unmounted cleanly: its journal must be replayed first";

/// Bytes of the device, as far as there are so many.
std::string read_device(Appliance& appliance, const std::string& device, int64_t offset,
                        int count) {
  size_t size = 0;
  char* bytes = guestfs_pread_device(appliance.get(), device.c_str(), count, offset, &size);
  if (bytes == nullptr) {
    throw appliance.last_error("read " + device);
  }
  std::string copy(bytes, size);
  std::free(bytes);
  return copy;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string check_ext(Appliance& appliance, const std::string& device) {
  const GuestfsStrings table(guestfs_tune2fs_l(appliance.get(), device.c_str()));
  if (!table.valid()) {
    return "its superblock cannot be read";
  }
  std::string state;
  for (const auto& [key, value] : table.pairs()) {
    if (key == "Filesystem state") {
      state = value;
    }
    if (key == "Filesystem features" && value.find("needs_recovery") != std::string::npos) {
      return kDirty;
    }
  }
  return state == "clean" ? "" : fmt::format("its state is '{}', not clean", state);
}

/// Both the boot sector and the second entry of the allocation table have a bit for it
/// (Microsoft's FAT specification 1.03, "FAT type determination" and "FAT entry value for
/// FAT[1]"; the boot sector's is at 0x25 or, with FAT32, 0x41).
std::string check_fat(Appliance& appliance, const std::string& device) {
  const std::string boot = read_device(appliance, device, 0, 512);
  if (boot.size() < 512) {
    return "its boot sector cannot be read";
  }
  const uint64_t sector = le16(bytes_of(boot), 11);
  const uint64_t reserved = le16(bytes_of(boot), 14);
  const bool is_fat32 = le16(bytes_of(boot), 22) == 0;
  constexpr unsigned kDirtyBit = 1;
  if ((static_cast<unsigned char>(boot[is_fat32 ? 0x41 : 0x25]) & kDirtyBit) != 0) {
    return kDirty;
  }
  const bool is_fat12 = boot.compare(0x36, 5, "FAT12") == 0;
  if (is_fat12) {
    return {};  // has no room for the other bit
  }
  const std::string table =
      read_device(appliance, device, static_cast<int64_t>(sector * reserved), 8);
  if (table.size() < 8) {
    return "its allocation table cannot be read";
  }
  const uint64_t second = is_fat32 ? le32(bytes_of(table), 4) : le16(bytes_of(table), 2);
  const uint64_t clean = is_fat32 ? 0x08000000 : 0x8000;
  return (second & clean) != 0 ? "" : kDirty;
}

/// The dirty flag in the attribute $VOLUME_INFORMATION (type 0x70) of the file $Volume, which is
/// record 3 of the file table: ntfs-3g mounts such volumes, so it does not tell. Layout as in the
/// Linux kernel's fs/ntfs3/ntfs.h. Anything that looks odd counts as dirty.
bool ntfs_is_marked_dirty(Appliance& appliance, const std::string& device) {
  const std::string boot = read_device(appliance, device, 0, 512);
  const uint64_t sector = le16(bytes_of(boot), 11);
  const auto per_cluster = static_cast<unsigned char>(boot.at(13));
  const uint64_t cluster =
      per_cluster <= 0x80 ? sector * per_cluster : sector << (256 - per_cluster);
  const auto record_code = static_cast<signed char>(boot.at(64));
  const uint64_t record = record_code > 0
                              ? cluster * static_cast<uint64_t>(record_code)
                              : uint64_t{1} << std::min(20, -static_cast<int>(record_code));
  const uint64_t table = le64(bytes_of(boot), 48);
  constexpr uint64_t kMost = uint64_t{1} << 20;
  if (sector < 256 || cluster == 0 || cluster > 2 * kMost || record < 256 || record > kMost ||
      table > (uint64_t{1} << 50) / cluster) {
    return true;
  }
  const std::string volume =
      read_device(appliance, device, static_cast<int64_t>(table * cluster + 3 * record),
                  static_cast<int>(std::min<uint64_t>(record, 4096)));
  if (volume.compare(0, 4, "FILE") != 0) {
    return true;
  }
  for (uint64_t at = le16(bytes_of(volume), 20); at + 24 <= volume.size();) {
    const uint64_t type = le32(bytes_of(volume), at);
    const uint64_t length = le32(bytes_of(volume), at + 4);
    if (type == 0xffffffff || length < 24 || length > volume.size() - at) {
      return true;
    }
    if (type != 0x70) {
      at += length;
      continue;
    }
    const uint64_t flags_at = at + le16(bytes_of(volume), at + 20) + 10;
    return flags_at + 2 > volume.size() || (le16(bytes_of(volume), flags_at) & 1) != 0;
  }
  return true;
}

/// The codes are the exit statuses of ntfs-3g.probe(8).
std::string check_ntfs(Appliance& appliance, const std::string& device) {
  constexpr int kHibernated = 14;
  constexpr int kUnclean = 15;
  const int answer = guestfs_ntfs_3g_probe(appliance.get(), 1, device.c_str());
  if (answer == kHibernated) {
    return "Windows is hibernated or was shut down for a fast startup: it will go on with what it "
           "remembers";
  }
  if (answer == kUnclean) {
    return "Windows did not unmount it cleanly";
  }
  if (answer != 0) {
    return fmt::format("ntfs-3g.probe refuses it (status {})", answer);
  }
  if (ntfs_is_marked_dirty(appliance, device)) {
    return "it is marked dirty: Windows must check it (chkdsk) first";
  }
  return {};
}

/// A file system that must replay a log cannot be mounted from a device that takes no writes.
std::string check_by_mounting(Appliance& appliance, const std::string& device) {
  guestfs_h* g = appliance.get();
  if (guestfs_blockdev_setro(g, device.c_str()) != 0) {
    throw appliance.last_error("look at " + device);
  }
  const int rc = guestfs_mount_options(g, "ro", device.c_str(), "/");
  std::string reason;
  if (rc != 0) {
    const char* cause = guestfs_last_error(g);
    const std::string words = cause == nullptr ? "" : cause;
    const bool read_only = words.find("read-only") != std::string::npos ||
                           words.find("write-protected") != std::string::npos;
    reason = read_only ? kDirty : "cannot be mounted: " + words.substr(words.rfind('\n') + 1);
  } else if (guestfs_umount_all(g) != 0) {
    throw appliance.last_error("unmount " + device);
  }
  if (guestfs_blockdev_setrw(g, device.c_str()) != 0) {
    throw appliance.last_error("look at " + device);
  }
  return reason;
}

}  // namespace

std::string quoted(const std::string& device) {
  const bool plain = !device.empty() && std::all_of(device.begin(), device.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("/_.+-", c) != nullptr;
  });
  if (plain) {
    return "'" + device + "'";
  }
  throw Error({.kind = ErrorKind::kCorrupt,
               .object = device,
               .action = "look at the guest's devices",
               .cause = "no device has such a name"});
}

std::string reason_to_leave(Appliance& appliance, const std::string& device,
                            const std::string& type) {
  if (type == "ext2" || type == "ext3" || type == "ext4") {
    return check_ext(appliance, device);
  }
  if (type == "vfat") {
    return check_fat(appliance, device);
  }
  if (type == "ntfs") {
    return check_ntfs(appliance, device);
  }
  return check_by_mounting(appliance, device);
}

}  // namespace vmferry
