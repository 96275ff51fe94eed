// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/places.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

class NewVolumes : public NewPlace {
 public:
  NewVolumes(const MigrateRequest& request, MigrationStorage& storage)
      : request_(request), storage_(storage) {}

  std::string name(const MovingDisk& disk) const override { return disk.volume.display(); }
  std::string name_in_jobs(const MovingDisk& disk) const override {
    return disk.volume.pool + "/" + disk.volume.image;
  }
  std::string name_in_headers(const MovingDisk& disk) const override {
    return qemu_volume_name(request_, disk.volume);
  }
  std::string file(const MovingDisk&) const override { return {}; }
  std::string kind() const override { return "RBD"; }
  bool is(const DiskImage& image, const MovingDisk& disk) const override {
    return image.is_rbd() && image.name == name_in_jobs(disk);
  }

  bool exists(const MovingDisk& disk) const override {
    return storage_.volume(disk.volume).has_value();
  }
  std::string identity(const MovingDisk& disk) const override {
    return storage_.identity(disk.volume);
  }
  Usage usage(const MovingDisk& disk) const override {
    return storage_.volume(disk.volume).value_or(Usage{.virtual_bytes = disk.size});
  }
  std::optional<size_t> writers(const MovingDisk& disk) const override {
    return storage_.writers(disk.volume);
  }
  void prove_access(const MovingDisk& disk) const override {
    storage_.prove_access(disk.volume.pool);
  }

  void create(const MovingDisk& disk, const MigrationStorage::Made& made) const override {
    storage_.create_volume(disk.volume, disk.size, made);
  }
  CopyDone copy(const MovingDisk& disk, const CopyTerms& terms,
                const MigrationStorage::Made& made) const override {
    return storage_.copy_in(disk.image, disk.volume, terms, made);
  }
  bool can_resume(const MovingDisk& disk) const override {
    return storage_.can_resume_in(disk.image, disk.volume);
  }
  std::string if_taken(const MovingDisk& disk) const override {
    return "remove it (" + removing_command(disk) + "), or name another with --disk " + disk.dev +
           "=rbd:POOL/IMAGE";
  }
  bool remove(const MovingDisk& disk, const std::string& identity) const override {
    return storage_.remove_volume(disk.volume, identity);
  }
  void close_unused(const MovingDisk& disk, Guest& guest) const override {
    try {
      guest.close_unused_volume(disk.volume.pool, disk.volume.image);
    } catch (const Error&) {
      // If it is open there, its removal tells.
    }
  }
  std::string removing_command(const MovingDisk& disk) const override {
    return "rbd rm " + disk.volume.ceph_name();
  }

 private:
  const MigrateRequest& request_;
  MigrationStorage& storage_;
};

/// The volumes of a move to files.
class OldVolumes : public OldPlace {
 public:
  explicit OldVolumes(MigrationStorage& storage) : storage_(storage) {}

  bool exists(const MovingDisk& disk) const override {
    return storage_.volume(disk.volume).has_value();
  }
  std::optional<OldFile> file(const MovingDisk&) const override { return std::nullopt; }
  std::string why_changed(const MovingDisk&) const override { return {}; }
  std::string why_stays(const MovingDisk& disk, const std::vector<Need>& needs) const override {
    return who_needs(disk.volume.display(), needs, [](const Need&) { return false; });
  }
  void remove(const MovingDisk& disk) const override {
    storage_.remove_volume(disk.volume, std::nullopt);
  }

 private:
  MigrationStorage& storage_;
};

/// The volumes of a move to other volumes.
class LeftVolumes : public OldPlace {
 public:
  explicit LeftVolumes(MigrationStorage& storage) : storage_(storage) {}

  bool exists(const MovingDisk& disk) const override { return now(disk).has_value(); }
  std::optional<OldFile> file(const MovingDisk&) const override { return std::nullopt; }
  std::string why_changed(const MovingDisk& disk) const override {
    const std::optional<ImageParts> parts = now(disk);
    if (parts && parts->files.front() == disk.image.identity) {
      return {};
    }
    return disk.original + (parts ? " is not the volume any more that was moved: it was replaced"
                                  : " is not there any more");
  }
  std::string why_stays(const MovingDisk& disk, const std::vector<Need>& needs) const override {
    const std::optional<ImageParts> parts = now(disk);
    if (!parts) {
      return {};
    }
    std::string reason = why_volume_stays(disk.image, *parts);
    return reason.empty() ? who_needs(disk.original, needs, [](const Need&) { return false; })
                          : reason;
  }
  void remove(const MovingDisk& disk) const override { storage_.remove_image(disk.image); }

 private:
  std::optional<ImageParts> now(const MovingDisk& disk) const {
    try {
      return storage_.image_parts(disk.image);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kNotFound) {
        return std::nullopt;
      }
      throw;
    }
  }

  MigrationStorage& storage_;
};

}  // namespace

std::unique_ptr<const NewPlace> new_volumes(const MigrateRequest& request,
                                            MigrationStorage& storage) {
  return std::make_unique<const NewVolumes>(request, storage);
}

std::unique_ptr<const OldPlace> old_volumes(MigrationStorage& storage) {
  return std::make_unique<const OldVolumes>(storage);
}

std::unique_ptr<const OldPlace> left_volumes(MigrationStorage& storage) {
  return std::make_unique<const LeftVolumes>(storage);
}

}  // namespace vmferry::migrate
