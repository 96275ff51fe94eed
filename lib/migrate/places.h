// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/migrate/needs.h"
#include "vmferry/domain.h"
#include "vmferry/guest.h"
#include "vmferry/migrate.h"

// The two ends of a move: files of this host, and volumes. What differs with the direction is here,
// places_files.cpp and places_volumes.cpp, and nowhere else in a run.

namespace vmferry::migrate {

/// Where disks go. Methods throw Error; threads as MigrationStorage.
class NewPlace {
 public:
  virtual ~NewPlace() = default;

  /// For people: "/img/a.raw", "rbd:pool/a".
  virtual std::string name(const MovingDisk& disk) const = 0;
  /// As libvirt tells where a block job goes: "/img/a.raw", "pool/a".
  virtual std::string name_in_jobs(const MovingDisk& disk) const = 0;
  /// As the header of an overlay names it.
  virtual std::string name_in_headers(const MovingDisk& disk) const = 0;
  /// The file, if it is one; else "".
  virtual std::string file(const MovingDisk& disk) const = 0;
  /// What such places are together: "RBD".
  virtual std::string kind() const = 0;
  /// Is the disk's image of a definition this place?
  virtual bool is(const DiskImage& image, const MovingDisk& disk) const = 0;

  virtual bool exists(const MovingDisk& disk) const = 0;
  /// Which volume or file has the name; "": there is none.
  virtual std::string identity(const MovingDisk& disk) const = 0;
  virtual Usage usage(const MovingDisk& disk) const = 0;
  /// How many clients have it open for writing; nothing: nobody counts them.
  virtual std::optional<size_t> writers(const MovingDisk& disk) const = 0;
  /// Can it be written to now, as the guest will? Throws what is wrong.
  virtual void prove_access(const MovingDisk& disk) const = 0;

  /// Empty, for QEMU to fill. Throws kConflict: the name is taken.
  virtual void create(const MovingDisk& disk, const MigrationStorage::Made& made) const = 0;
  /// Copies the old disk there and compares. Throws kConflict: the name is taken.
  virtual CopyDone copy(const MovingDisk& disk, const CopyTerms& terms,
                        const MigrationStorage::Made& made) const = 0;
  /// Has a copy that died left anything to go on with?
  virtual bool can_resume(const MovingDisk& disk) const = 0;
  /// What a person may do about a name that is taken.
  virtual std::string if_taken(const MovingDisk& disk) const = 0;
  /// As MigrationStorage::remove_volume; false: it stays, as it is another one.
  virtual bool remove(const MovingDisk& disk, const std::string& identity) const = 0;
  /// Lets go of it in the guest's QEMU if nothing uses it there.
  virtual void close_unused(const MovingDisk& disk, Guest& guest) const = 0;
  /// The command that removes it, for a person.
  virtual std::string removing_command(const MovingDisk& disk) const = 0;
};

/// Where disks come from. Methods throw Error; threads as MigrationStorage.
class OldPlace {
 public:
  virtual ~OldPlace() = default;

  virtual bool exists(const MovingDisk& disk) const = 0;
  /// The file that it is; nothing: it is none, or not the one that was planned with.
  virtual std::optional<OldFile> file(const MovingDisk& disk) const = 0;
  /// Why it is not what was moved any more: "/img/a is not there any more"; "": it is, as far as
  /// can be told.
  virtual std::string why_changed(const MovingDisk& disk) const = 0;
  /// Why it must not be removed; "": it may, or is gone.
  virtual std::string why_stays(const MovingDisk& disk, const std::vector<Need>& needs) const = 0;
  virtual void remove(const MovingDisk& disk) const = 0;
};

/// Both ends of a move.
struct Places {
  std::unique_ptr<const NewPlace> fresh;
  std::unique_ptr<const OldPlace> old;
};
/// What it is given must outlive it.
Places places_for(const MigrateRequest& request, MigrationStorage& storage);

std::unique_ptr<const NewPlace> new_files(const MigrateRequest& request, MigrationStorage& storage);
std::unique_ptr<const NewPlace> new_volumes(const MigrateRequest& request,
                                            MigrationStorage& storage);
std::unique_ptr<const OldPlace> old_files(const MigrateRequest& request, MigrationStorage& storage);
/// Of a move to files, and of one to other volumes.
std::unique_ptr<const OldPlace> old_volumes(MigrationStorage& storage);
std::unique_ptr<const OldPlace> left_volumes(MigrationStorage& storage);

}  // namespace vmferry::migrate
