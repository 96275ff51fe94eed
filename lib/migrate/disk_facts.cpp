// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "lib/image/whole_sectors.h"
#include "lib/migrate/facts.h"
#include "lib/migrate/needs.h"
#include "vmferry/create.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

/// One disk that shall move: its image or volume, its size, the room for what is made for it.
class DiskLooker {
 public:
  DiskLooker(const MigrateRequest& request, const MigrateContext& context, CopyMethod method,
             Facts& facts)
      : request_(request),
        method_(method),
        facts_(facts),
        source_(*context.source),
        guest_(source_.guest(request.domain)),
        storage_(*context.storage) {}

  void look_at(DiskFacts& disk) {
    try {
      disk.job_running =
          facts_.state != DomainState::kShutOff && guest_->block_job(disk.move.dev).has_value();
      if (disk.move.image.volume) {
        look_at_volume(disk);
      } else {
        look_at_sizes(disk);
      }
      if (request_.to_files()) {
        look_at_target_file(disk);
      } else if (!disk.move.image.volume) {
        look_at_image(disk);
      }
      // A volume is raw.
      const ImageFormat format = request_.to_files() ? ImageFormat() : disk.move.image.format;
      disk.move.size = guest_bytes(format, disk.move.size);
      if (request_.to_files()) {
        TargetOptions options;
        options.size = disk.move.size;
        check_new_image(PathLocation{disk.move.image.path}, options, request_.file_layout);
      }
    } catch (const Error& error) {
      pass_on_cancelled(error);
      disk.problem = {.failure = error.what(), .hint = error.hint()};
    }
  }

 private:
  void look_at_sizes(DiskFacts& disk) {
    MovingDisk& move = disk.move;
    if (request_.to_files() && method_ == CopyMethod::kOffline) {
      // libvirt knows the size of a volume only while a guest has it open.
      const std::optional<Usage> usage = storage_.volume(move.volume);
      if (!usage) {
        throw Error({.kind = ErrorKind::kNotFound,
                     .object = move.volume.display(),
                     .action = "look at the disk",
                     .cause = "no such volume"});
      }
      move.size = usage->virtual_bytes;
      move.data = usage->allocated_bytes;
      return;
    }
    if (facts_.source.local && !request_.to_files() && method_ != CopyMethod::kMirrored) {
      return;  // the image itself is looked at, and libvirt knows no sizes of a shut-off domain
    }
    const DiskSizes sizes = guest_->disk_sizes(move.dev);
    move.size = sizes.capacity;
    move.data = sizes.allocation;
  }

  void look_at_target_file(DiskFacts& disk) {
    if (!facts_.target.local) {
      return;
    }
    disk.file_taken = storage_.file_exists(disk.move.image.path);
    facts_.file_room = storage_.free_space(request_.to_dir);
    if (method_ == CopyMethod::kStaged) {
      look_at_overlay(disk);
    }
  }

  /// Of a move to another volume.
  void look_at_volume(DiskFacts& disk) {
    HostImage& image = disk.move.image;
    disk.parts = storage_.image_parts(image);
    image.identity = disk.parts.files.front();
    image.with_snapshots = request_.snapshots;
    const Usage usage = storage_.image_usage(image);
    disk.move.size = usage.virtual_bytes;
    disk.move.data = usage.allocated_bytes;
    if (method_ == CopyMethod::kOffline || facts_.state == DomainState::kShutOff) {
      return;
    }
    require_seen_by_guest(disk);
    if (facts_.source.local && method_ == CopyMethod::kStaged) {
      look_at_overlay(disk);
    }
  }

  /// Another cluster may have a volume of that name.
  void require_seen_by_guest(const DiskFacts& disk) {
    std::string cause;
    std::string resized;
    if (const uint64_t seen = guest_->disk_sizes(disk.move.dev).capacity; seen != disk.move.size) {
      resized = "if it was resized, let the guest see that first (virsh blockresize); ";
      cause = fmt::format("it has {} bytes, and the running guest sees {}", disk.move.size, seen);
    } else if (!disk.disk.readonly && !disk.parts.written) {
      cause = "the guest runs, and no client has it open in this cluster";
    }
    if (!cause.empty()) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = disk.move.original,
                   .action = {},
                   .cause = cause,
                   .hint = resized + "is it in another cluster? name that one with --ceph-conf"});
    }
  }

  void look_at_image(DiskFacts& disk) {
    HostImage& image = disk.move.image;
    const bool mirrored = method_ == CopyMethod::kMirrored;
    image.path = path_of(source_, disk.disk.image);
    for (const DiskImage& backing : disk.disk.backing) {
      image.backing.push_back(path_of(source_, backing));
    }
    const std::optional<ImageFormat> format = format_of(disk.disk.image);
    if (!format && !mirrored) {
      refuse_format(image.path, disk.disk.image.format);
    }
    const bool foreign = format && format->is_foreign();
    // A chain does not tell of what parts an image is made.
    image.chain_known = !foreign && (disk.disk.chain_is_closed || !image.backing.empty());
    // What QEMU mirrors, QEMU alone has to read.
    image.format = mirrored && foreign ? ImageFormat() : format.value_or(ImageFormat());
    image.allowed = request_.allow_files;
    image.with_snapshots = request_.snapshots;
    image.with_layers = request_.chain_as_snapshots;
    if (image.with_layers) {
      name_layers(disk);
    }
    know_chain_of_sync(disk.move);
    if (!facts_.source.local) {
      return;
    }
    disk.look = storage_.look(image.path);
    // What was not looked at stays: such an image may be made of several files.
    if (disk.look && !foreign) {
      image.identity = disk.look->identity;
    }
    if (image.format.is_container() && !foreign) {
      disk.parts = storage_.image_parts(image);
    }
    if (mirrored) {
      // libvirt counts up to the highest write.
      if (storage_.file_exists(image.path)) {
        disk.move.data = storage_.file_allocation(image.path);
      }
      return;
    }
    // A shut-off domain's chain is mostly not declared, and libvirt tells sizes of files only.
    const bool in_use = method_ == CopyMethod::kStaged;
    const Usage usage = foreign && in_use ? usage_as_seen(disk.move) : storage_.image_usage(image);
    disk.move.size = usage.virtual_bytes;
    disk.move.data = usage.allocated_bytes;
    if (method_ == CopyMethod::kOffline) {
      look_at_states(disk);
      return;
    }
    if (!disk.look) {
      throw Error({.kind = ErrorKind::kNotFound,
                   .object = image.path,
                   .action = "look at the disk",
                   .cause = "it is gone"});
    }
    look_at_overlay(disk);
  }

  /// Of a guest that is off, libvirt may name less of what is below the overlay of a sync than when
  /// it ran: its definition may never have named all of that.
  void know_chain_of_sync(MovingDisk& move) const {
    if (!facts_.warm.state) {
      return;
    }
    for (const SyncedDisk& synced : facts_.warm.state->disks) {
      if (synced.dev == move.dev && !synced.image.volume && synced.overlay == move.image.path) {
        move.image.backing = synced.image.backing;
        move.image.backing.insert(move.image.backing.begin(), synced.image.path);
        move.image.chain_known = synced.image.chain_known;
      }
    }
  }

  /// What images take is what is in all of their states.
  void look_at_states(DiskFacts& disk) {
    if (request_.snapshots && !disk.parts.snapshots.empty()) {
      disk.states = storage_.file_allocation(disk.move.image.path);
    } else if (request_.chain_as_snapshots && !disk.parts.backing.empty()) {
      disk.states = storage_.file_allocation(disk.move.image.path);
      for (const std::string& path : disk.parts.backing) {
        disk.states += storage_.file_allocation(path);
      }
    }
  }

  /// A layer that libvirt knows as a snapshot is called so.
  void name_layers(DiskFacts& disk) const {
    for (const DomainSnapshot& snapshot : facts_.known_snapshots) {
      for (const DomainSnapshot::Disk& then : snapshot.disks) {
        if (then.dev == disk.move.dev && then.state == DomainSnapshot::Where::kBeside) {
          disk.move.image.layer_names.emplace(then.image.path, snapshot.name);
        }
      }
    }
  }

  /// Of an image of others under a running guest. QEMU writes to it, so that its tables may make
  /// no sense for a moment: what libvirt tells has to do then. Once it is frozen it is looked at
  /// again.
  Usage usage_as_seen(const MovingDisk& disk) {
    const DiskSizes seen = guest_->disk_sizes(disk.dev);
    Usage usage = {.virtual_bytes = seen.capacity,
                   .allocated_bytes = std::min(seen.capacity, seen.allocation)};
    try {
      usage = storage_.image_usage(disk.image);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCorrupt) {
        throw;
      }
    }
    if (usage.virtual_bytes != seen.capacity) {  // QEMU before 10.0 cuts some VHDs
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = disk.image.path,
                   .action = {},
                   .cause = fmt::format("its disk has {} bytes, but the running guest sees {}",
                                        usage.virtual_bytes, seen.capacity),
                   .hint = "move it with --mode offline, or with --method mirror"});
    }
    return usage;
  }

  [[noreturn]] static void refuse_format(const std::string& path, const std::string& format) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = path,
                 .action = {},
                 .cause = "its format is " + format + ", which vmferry does not read",
                 .hint =
                     "convert it first (vmferry convert, qemu-img convert); or move it while it "
                     "runs with --method mirror: QEMU reads it then"});
  }

  /// Beside the image itself, or the file that it becomes; a block device's directory is no place
  /// for files, and a volume has none.
  std::filesystem::path overlay_directory(const DiskFacts& disk) const {
    if (!request_.overlay_dir.empty()) {
      return request_.overlay_dir;
    }
    if (request_.to_files()) {
      return request_.to_dir;
    }
    if (disk.move.image.volume || disk.look->device) {
      return "/var/lib/libvirt/images";
    }
    return std::filesystem::path(disk.look->real).parent_path();
  }

  void look_at_overlay(DiskFacts& disk) {
    const std::filesystem::path directory = overlay_directory(disk);
    const std::string stem = request_.domain + "-" + disk.move.dev;
    const WarmRun& warm = facts_.warm;
    disk.move.overlay =
        (directory /
         (stem +
          (warm.round == 0 ? kOverlaySuffix : fmt::format("{}{}.qcow2", kSyncOverlay, warm.round))))
            .string();
    disk.move.bridge = (directory / (stem + kBridgeSuffix)).string();
    // With the guest on it.
    const bool is_there = warm.kind == RunKind::kCutover && !disk.move.image.volume;
    disk.overlay_taken = (!is_there && storage_.file_exists(disk.move.overlay)) ||
                         storage_.file_exists(disk.move.bridge);
    disk.overlay_room = room_in(directory.string());
  }

  uint64_t room_in(const std::string& directory) const {
    try {
      return storage_.free_space(directory);
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      if (parts.hint.empty()) {
        parts.hint = "overlays are made there: name another place with --overlay-dir";
      }
      throw Error(parts);
    }
  }

  const MigrateRequest& request_;
  const CopyMethod method_;
  Facts& facts_;
  Host& source_;
  const std::shared_ptr<Guest> guest_;
  MigrationStorage& storage_;
};

}  // namespace

void look_at_disk(const MigrateRequest& request, const MigrateContext& context, CopyMethod method,
                  Facts& facts, DiskFacts& disk) {
  DiskLooker(request, context, method, facts).look_at(disk);
}

}  // namespace vmferry::migrate
