// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "vmferry/migrate.h"
#include "vmferry/open.h"
#include "vmferry/target.h"

namespace vmferry::migrate {

/// With patience: a copy waits for a cluster that goes away while it is under way. The guest writes
/// to overlays then, or is off, and undoing would want the cluster as well.
CephOptions for_copying(CephOptions ceph);

/// What a disk is copied to.
struct NewImage {
  Location location;
  ImageLayout layout = {};
  TargetOptions options;
  std::vector<size_t> points = {};  ///< states of the source that are copied before; see History
};

/// The files of this host and the volumes of one cluster. migration_storage.cpp has what is asked
/// of the cluster, storage_files.cpp what is asked of the host, storage_copies.cpp what needs both,
/// storage_updates.cpp what brings a copy up to date, storage_breaks.cpp images that are changed
/// while they are copied.
class HostAndCluster : public MigrationStorage {
 public:
  explicit HostAndCluster(MigrationStorageOptions options);

  /// With a data pool in the layout, room and trouble are those of both pools. What this user may
  /// not ask counts as good: writing will tell.
  PoolFacts pool(const std::string& pool) override;
  void prove_access(const std::string& pool) override;
  void prove_base(const std::string& base) override;
  std::optional<Usage> volume(const VolumeName& volume) override;
  std::vector<std::string> volumes(const std::string& pool) override;
  size_t writers(const VolumeName& volume) override;
  void create_volume(const VolumeName& volume, uint64_t size, const Made& made) override;
  std::string identity(const VolumeName& volume) override;
  std::vector<VolumeClone> clones(const VolumeName& volume) override;
  bool remove_volume(const VolumeName& volume, const std::optional<std::string>& identity) override;
  void sparsify_volume(const VolumeName& volume) override;
  std::string user_key() override;

  /// Opens no file but the image and its `backing`; refuses one that another process writes to.
  CopyDone copy_in(const HostImage& image, const VolumeName& volume, const CopyTerms& terms,
                   const Made& made) override;
  bool can_resume_in(const HostImage& image, const VolumeName& volume) override;
  bool same(const HostImage& image, const VolumeName& volume, std::stop_token stop) override;
  CopyDone copy_out(const VolumeName& volume, const std::string& path, const ImageLayout& layout,
                    const CopyTerms& terms, const Made& made) override;
  bool can_resume_out(const VolumeName& volume, const std::string& path) override;
  CopyDone update_in(const HostImage& image, const VolumeName& volume, const std::string& mark,
                     const CopyTerms& terms) override;
  CopyDone copy_changed_in(const HostImage& image, const VolumeName& volume,
                           const CopyTerms& terms) override;
  ByteRanges own_ranges(const HostImage& image) override;
  void mark(const VolumeName& volume, const std::string& mark) override;
  void unmark(const VolumeName& volume, const std::string& mark) override;
  std::vector<std::string> marks(const VolumeName& volume) override;
  bool is_as_marked(const VolumeName& volume, const std::string& mark) override;
  void mark_old(const HostImage& image, const std::string& mark) override;
  void unmark_old(const HostImage& image, const std::string& mark) override;
  std::vector<std::string> old_marks(const HostImage& image) override;
  Usage image_usage(const HostImage& image) override;

  ImageParts image_parts(const HostImage& image) override;
  std::optional<FileLook> look(const std::string& path) override;
  void remove_image(const HostImage& image) override;
  void remove_old_file(const OldFile& file) override;

  bool file_exists(const std::string& path) override;
  uint64_t file_allocation(const std::string& path) override;
  uint64_t free_space(const std::string& path) override;
  std::string file_system(const std::string& path) override;
  bool remove_file(const std::string& path, const std::optional<std::string>& identity) override;
  void create_overlay(const std::string& path, uint64_t size, const std::string& backing,
                      const std::string& backing_format) override;
  void create_empty_file(const std::string& path, uint64_t size, const ImageLayout& layout,
                         const Made& made) override;

 private:
  /// Of HostImage::volume.
  const CephOptions& old_ceph() const {
    return options_.old_ceph ? *options_.old_ceph : options_.ceph;
  }
  /// With the size that the guest sees, and no other files than the image names.
  OpenImage open_host_image(const HostImage& image) const;
  /// HostImage::volume itself. Throws kConflict: another one has its name.
  OpenImage open_old_volume(const HostImage& image) const;
  /// The image that was planned with, which nobody writes to.
  OpenImage open_frozen_image(const HostImage& image) const;
  /// The same for a copy with breaks.
  std::unique_ptr<Source> open_between_breaks(const HostImage& image, const CopyTerms& terms) const;
  OpenImage open_volume(const VolumeName& volume, const CephOptions& ceph) const;
  ImageParts volume_parts(const RbdLocation& volume) const;
  /// Goes on with what a copy that died has left, if that is asked for and it fits.
  CopyDone copy_or_resume(const OpenImage& image, NewImage target, CopyTerms terms);
  /// Has a copy that died left what this one can go on with?
  bool can_go_on(const OpenImage& image, const NewImage& target) const;
  CopyDone copy_and_check(const OpenImage& image, const NewImage& target, const CopyTerms& terms);
  /// For something new of that size.
  TargetOptions new_target(uint64_t size, const Made& made) const;
  TargetOptions new_volume(uint64_t size, const Made& made) const;

  /// Where the volume is; the connection to its cluster stays for the next question.
  RbdLocation connected_to(const VolumeName& volume);

  void remove_old_volume(const HostImage& image) const;
  /// Removes the states that an update which died has kept there since `mark`, and lets those
  /// before it follow the snapshots of the old volume.
  void follow_old_volume(const OpenImage& old, const VolumeName& volume, const std::string& mark);

  void about_to_make() const;

  const MigrationStorageOptions options_;
  const std::string mon_host_;
  std::shared_ptr<const void> connection_;
};

/// Stopped when either of the two is.
class EitherStop {
 public:
  EitherStop(std::stop_token a, std::stop_token b)
      : a_(std::move(a), Stop{source_}), b_(std::move(b), Stop{source_}) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  struct Stop {
    std::stop_source source;
    void operator()() { source.request_stop(); }
  };
  std::stop_source source_;
  std::stop_callback<Stop> a_;
  std::stop_callback<Stop> b_;
};

RbdLocation location_of(const VolumeName& volume);
/// Throws Error.
struct stat stat_of(const std::string& path);

}  // namespace vmferry::migrate
