// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/shell_word.h"
#include "lib/migrate/places.h"

namespace vmferry::migrate {
namespace {

class NewFiles : public NewPlace {
 public:
  NewFiles(const MigrateRequest& request, MigrationStorage& storage)
      : layout_(request.file_layout), storage_(storage) {}

  std::string name(const MovingDisk& disk) const override { return disk.image.path; }
  std::string name_in_jobs(const MovingDisk& disk) const override { return disk.image.path; }
  std::string name_in_headers(const MovingDisk& disk) const override { return disk.image.path; }
  std::string file(const MovingDisk& disk) const override { return disk.image.path; }
  std::string kind() const override { return "its file"; }
  bool is(const DiskImage& image, const MovingDisk& disk) const override {
    return image.path == disk.image.path;
  }

  bool exists(const MovingDisk& disk) const override {
    return storage_.file_exists(disk.image.path);
  }
  std::string identity(const MovingDisk& disk) const override {
    const std::optional<FileLook> look = storage_.look(disk.image.path);
    return look ? look->identity : "";
  }
  Usage usage(const MovingDisk& disk) const override {
    return {.virtual_bytes = disk.size,
            .allocated_bytes = storage_.file_allocation(disk.image.path)};
  }
  std::optional<size_t> writers(const MovingDisk&) const override { return std::nullopt; }
  void prove_access(const MovingDisk&) const override {}

  void create(const MovingDisk& disk, const MigrationStorage::Made& made) const override {
    storage_.create_empty_file(disk.image.path, disk.size, layout_, made);
  }
  CopyDone copy(const MovingDisk& disk, const CopyTerms& terms,
                const MigrationStorage::Made& made) const override {
    return storage_.copy_out(disk.volume, disk.image.path, layout_, terms, made);
  }
  bool can_resume(const MovingDisk& disk) const override {
    return storage_.can_resume_out(disk.volume, disk.image.path);
  }
  std::string if_taken(const MovingDisk&) const override {
    return "move it away, or name another directory with --to-dir";
  }
  bool remove(const MovingDisk& disk, const std::string& identity) const override {
    return storage_.remove_file(disk.image.path, identity);
  }
  void close_unused(const MovingDisk&, Guest&) const override {}
  std::string removing_command(const MovingDisk& disk) const override {
    return "rm " + shell_word(disk.image.path);
  }

 private:
  const ImageLayout layout_;
  MigrationStorage& storage_;
};

class OldFiles : public OldPlace {
 public:
  OldFiles(const MigrateRequest& request, MigrationStorage& storage)
      : request_(request), storage_(storage) {}

  bool exists(const MovingDisk& disk) const override {
    // A mirror's source may be on a host whose files cannot be looked at.
    return !request_.delete_source || storage_.file_exists(disk.image.path);
  }

  std::optional<OldFile> file(const MovingDisk& disk) const override {
    const HostImage& image = disk.image;
    const std::optional<FileLook> look =
        image.identity.empty() ? std::nullopt : storage_.look(image.path);
    if (!look || look->identity != image.identity) {
      return std::nullopt;
    }
    return OldFile{.path = image.path,
                   .format = image.format.name(),
                   .identity = look->identity,
                   .size = look->size,
                   .modified = look->modified,
                   .taken = storage_.file_allocation(image.path)};
  }

  std::string why_changed(const MovingDisk& disk) const override {
    if (disk.image.identity.empty()) {
      return {};
    }
    const std::optional<FileLook> look = storage_.look(disk.image.path);
    if (look && look->identity == disk.image.identity) {
      return {};
    }
    return disk.image.path + (look ? " is not the file any more that was moved: it was replaced"
                                   : " is not there any more");
  }

  std::string why_stays(const MovingDisk& disk, const std::vector<Need>& needs) const override {
    const std::optional<FileLook> look = storage_.look(disk.image.path);
    if (!look) {
      return {};
    }
    if (std::string reason = why_file_stays(disk.image, *look); !reason.empty()) {
      return reason;
    }
    return who_needs(look->identity, needs, [](const Need&) { return false; });
  }

  /// Only the topmost image: what it is backed by may serve others.
  void remove(const MovingDisk& disk) const override { storage_.remove_image(disk.image); }

 private:
  const MigrateRequest& request_;
  MigrationStorage& storage_;
};

}  // namespace

std::unique_ptr<const NewPlace> new_files(const MigrateRequest& request,
                                          MigrationStorage& storage) {
  return std::make_unique<const NewFiles>(request, storage);
}

std::unique_ptr<const OldPlace> old_files(const MigrateRequest& request,
                                          MigrationStorage& storage) {
  return std::make_unique<const OldFiles>(request, storage);
}

}  // namespace vmferry::migrate
