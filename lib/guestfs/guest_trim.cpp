// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guestfs/guest_trim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr std::array kTrimmable = {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs"};
// The header of a swap area is one page of the machine that made it; 64 KiB is the largest page.
constexpr uint64_t kSwapHeader = 64 << 10;

// Linux shows no more of an extended partition than this.
constexpr uint64_t kExtendedPartition = 1024;

struct GuestVolume {
  std::string device;
  std::string type;
  std::string uuid;
  std::string label;
  uint64_t size = 0;

  bool is_called(const std::string& name) const {
    return name == device || (!uuid.empty() && name == uuid) || (!label.empty() && name == label);
  }
};

class GuestTrim {
 public:
  GuestTrim(Appliance& appliance, const std::vector<Extent>& gaps, const TrimOptions& options,
            const Meter& meter)
      : appliance_(appliance), gaps_(gaps), options_(options), meter_(meter) {}

  std::vector<TrimmedPart> run() {
    open_encrypted();
    const std::vector<GuestVolume> volumes = list_volumes();
    check_names(volumes);
    hibernated_ = std::any_of(volumes.begin(), volumes.end(),
                              [](const GuestVolume& volume) { return volume.type == "swsuspend"; });
    for (const GuestVolume& volume : volumes) {
      parts_.push_back(trim(volume));
    }
    if (options_.only.empty() && !hibernated_) {
      for (TrimmedPart& part : trim_unclaimed(appliance_, gaps_, meter_)) {
        parts_.push_back(std::move(part));
      }
    }
    return std::move(parts_);
  }

 private:
  guestfs_h* g() const { return appliance_.get(); }

  /// Whatever may hold a file system. libguestfs's own list (list_filesystems) runs parted several
  /// times for each partition, which takes minutes where the processor is emulated.
  std::vector<std::string> list_devices() const {
    std::vector<std::string> devices;
    auto add = [&](char** list, const char* what) {
      const GuestfsStrings found(list);
      if (!found.valid()) {
        throw appliance_.last_error(what);
      }
      for (std::string& device : found.all()) {
        devices.push_back(std::move(device));
      }
    };
    add(guestfs_list_partitions(g()), "look for partitions");
    if (devices.empty()) {
      add(guestfs_list_devices(g()), "look for disks");
    }
    add(guestfs_list_md_devices(g()), "look for RAID");
    add(guestfs_lvs(g()), "look for logical volumes");
    for (const auto& [device, name] : opened_) {
      devices.push_back("/dev/mapper/" + name);
    }
    return devices;
  }

  std::vector<GuestVolume> list_volumes() const {
    std::vector<GuestVolume> volumes;
    for (const std::string& device : list_devices()) {
      const GuestfsStrings tags(guestfs_blkid(g(), device.c_str()));
      GuestVolume volume = {device, "unknown", {}, {}};
      for (auto& [tag, value] : tags.pairs()) {
        if (tag == "TYPE") {
          volume.type = value;
        }
        if (tag == "UUID") {
          volume.uuid = value;
        }
        if (tag == "LABEL") {
          volume.label = value;
        }
      }
      // What is in these comes as a device of its own.
      if (volume.type == "LVM2_member" || volume.type == "linux_raid_member") {
        continue;
      }
      const int64_t size = guestfs_blockdev_getsize64(g(), device.c_str());
      volume.size = size > 0 ? static_cast<uint64_t>(size) : 0;
      if (volume.size > kExtendedPartition) {
        volumes.push_back(std::move(volume));
      }
    }
    return volumes;
  }

  const DiskKey* key_for(const GuestVolume& volume) const {
    for (const DiskKey& key : options_.keys) {
      if (key.volume == "all" || volume.is_called(key.volume)) {
        return &key;
      }
    }
    return nullptr;
  }

  void open_encrypted() {
    if (options_.keys.empty()) {
      return;
    }
    for (const GuestVolume& volume : list_volumes()) {
      if (volume.type != "crypto_LUKS") {
        continue;
      }
      const DiskKey* key = key_for(volume);
      if (key == nullptr) {
        continue;
      }
      const std::string name = fmt::format("vmferry{}", opened_.size());
      open_volume(volume, key->secret, name);
      opened_.emplace(volume.device, name);
    }
    if (!opened_.empty() && guestfs_lvm_scan(g(), 1) != 0) {
      throw appliance_.last_error("look for LVM");
    }
  }

  /// The library's own call opens it so that discards stop there, and a volume of LUKS 2 cannot be
  /// told later: its key is out of reach by then.
  void open_volume(const GuestVolume& volume, const std::string& secret, const std::string& name) {
    constexpr const char* kKeyFile = "/tmp/vmferry.key";
    appliance_.upload(secret, kKeyFile);
    try {
      appliance_.shell(
          fmt::format("trap 'rm -f {0}' EXIT; cryptsetup open --type luks --allow-discards "
                      "--key-file {0} {1} {2}",
                      kKeyFile, quoted(appliance_.kernel_name(volume.device)), name));
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      if (parts.kind == ErrorKind::kCancelled) {
        throw;
      }
      parts.kind = ErrorKind::kConflict;
      parts.action = "open the encrypted volume " + volume.device;
      parts.hint = "check the key given with --key for it";
      throw Error(parts);
    }
  }

  /// A name that fits nothing is a slip, and might mean the loss of what it was to protect.
  void check_names(const std::vector<GuestVolume>& volumes) const {
    for (const auto* names : {&options_.ignore, &options_.only}) {
      for (const std::string& name : *names) {
        if (std::any_of(volumes.begin(), volumes.end(),
                        [&](const GuestVolume& volume) { return volume.is_called(name); })) {
          continue;
        }
        std::string known;
        for (const GuestVolume& volume : volumes) {
          known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", volume.device, volume.type);
        }
        throw Error({.kind = ErrorKind::kUsage,
                     .object = name,
                     .action = "look for it in the guest",
                     .cause = "no file system has this device name, UUID or label",
                     .hint = known.empty() ? "there is none at all" : "there are: " + known});
      }
    }
  }

  bool is_chosen(const GuestVolume& volume) const {
    auto named = [&](const std::vector<std::string>& names) {
      return std::any_of(names.begin(), names.end(),
                         [&](const std::string& name) { return volume.is_called(name); });
    };
    return !named(options_.ignore) && (options_.only.empty() || named(options_.only));
  }

  TrimmedPart trim(const GuestVolume& volume) {
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
    TrimmedPart part;
    part.name = volume.device;
    part.type = volume.type;
    part.size = volume.size;
    part.left = why_left(volume);
    if (!part.left.empty()) {
      return part;
    }
    if (volume.type == "swap") {
      trim_swap(volume, part);
    } else {
      part.left = reason_to_leave(appliance_, volume.device, volume.type);
      if (part.left.empty()) {
        trim_file_system(volume, part);
      }
    }
    return part;
  }

  std::string why_left(const GuestVolume& volume) const {
    if (!is_chosen(volume)) {
      return "not chosen";
    }
    if (volume.type == "swsuspend") {
      return "a hibernated system is in it";
    }
    if (hibernated_) {
      return "the guest is hibernated: it will go on with what it remembers";
    }
    if (volume.type == "crypto_LUKS") {
      return opened_.contains(volume.device) ? "encrypted; what is in it is listed by itself"
                                             : "encrypted, and no --key fits it";
    }
    if (volume.type == "swap") {
      return {};
    }
    if (volume.type == "unknown") {
      return "holds no file system that is known";
    }
    const bool known =
        std::find(kTrimmable.begin(), kTrimmable.end(), volume.type) != kTrimmable.end();
    return known ? "" : "file systems of this type are not trimmed";
  }

  /// Its header keeps UUID and label, so what remains is the same swap area, empty.
  void trim_swap(const GuestVolume& volume, TrimmedPart& part) {
    if (part.size <= kSwapHeader) {
      return;
    }
    part.used = 0;
    part.dropped = metered(appliance_, meter_, [&] {
      appliance_.shell(fmt::format("blkdiscard --force --offset {} {}", kSwapHeader,
                                   quoted(appliance_.kernel_name(volume.device))));
    });
  }

  /// Read-only is enough for fstrim, and leaves even the time of the last mount as it was. Only
  /// ntfs-3g wants to be able to write; it empties the journal, which was proved to hold nothing.
  void trim_file_system(const GuestVolume& volume, TrimmedPart& part) {
    const char* how = volume.type == "ntfs" ? "" : "ro";
    if (guestfs_mount_options(g(), how, volume.device.c_str(), "/") != 0) {
      part.left = appliance_.last_error("mount").parts().cause;
      return;
    }
    note_use(part);
    part.dropped = metered(appliance_, meter_, [&] {
      if (guestfs_fstrim(g(), "/", -1) != 0) {
        part.left = appliance_.last_error("trim").parts().cause;
      }
    });
    if (guestfs_umount_all(g()) != 0) {
      throw appliance_.last_error("unmount " + volume.device);
    }
  }

  void note_use(TrimmedPart& part) const {
    const std::unique_ptr<struct guestfs_statvfs, void (*)(struct guestfs_statvfs*)> use(
        guestfs_statvfs(g(), "/"), guestfs_free_statvfs);
    if (!use || use->frsize <= 0 || use->blocks < use->bfree || use->bfree < 0) {
      return;
    }
    part.used =
        static_cast<uint64_t>(use->blocks - use->bfree) * static_cast<uint64_t>(use->frsize);
  }

  Appliance& appliance_;
  const std::vector<Extent>& gaps_;
  const TrimOptions& options_;
  const Meter& meter_;
  std::map<std::string, std::string> opened_;  // encrypted volume, and the name of what it holds
  bool hibernated_ = false;
  std::vector<TrimmedPart> parts_;
};

}  // namespace

std::optional<uint64_t> metered(Appliance& appliance, const Meter& meter,
                                const std::function<void()>& drop) {
  const std::optional<uint64_t> before = meter();
  drop();
  appliance.sync();
  const std::optional<uint64_t> after = meter();
  if (!before || !after) {
    return std::nullopt;
  }
  return *before - std::min(*before, *after);
}

std::vector<TrimmedPart> trim_guest(Appliance& appliance, const std::vector<Extent>& gaps,
                                    const TrimOptions& options, const Meter& meter) {
  return GuestTrim(appliance, gaps, options, meter).run();
}

}  // namespace vmferry
