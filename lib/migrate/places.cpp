// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/places.h"

namespace vmferry::migrate {

namespace {

/// What moves to RBD: files, volumes, or both.
class OldDisks : public OldPlace {
 public:
  OldDisks(const MigrateRequest& request, MigrationStorage& storage)
      : files_(old_files(request, storage)), volumes_(left_volumes(storage)) {}

  bool exists(const MovingDisk& disk) const override { return of(disk).exists(disk); }
  std::optional<OldFile> file(const MovingDisk& disk) const override { return of(disk).file(disk); }
  std::string why_changed(const MovingDisk& disk) const override {
    return of(disk).why_changed(disk);
  }
  std::string why_stays(const MovingDisk& disk, const std::vector<Need>& needs) const override {
    return of(disk).why_stays(disk, needs);
  }
  void remove(const MovingDisk& disk) const override { of(disk).remove(disk); }

 private:
  const OldPlace& of(const MovingDisk& disk) const {
    return disk.image.volume ? *volumes_ : *files_;
  }

  const std::unique_ptr<const OldPlace> files_;
  const std::unique_ptr<const OldPlace> volumes_;
};

}  // namespace

Places places_for(const MigrateRequest& request, MigrationStorage& storage) {
  if (request.to_files()) {
    return {.fresh = new_files(request, storage), .old = old_volumes(storage)};
  }
  return {.fresh = new_volumes(request, storage),
          .old = std::make_unique<const OldDisks>(request, storage)};
}

}  // namespace vmferry::migrate
