// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/unit/fake_world.h"

namespace vmferry::test {

/// What a sector of the world counts for.
inline constexpr uint64_t kClusterBytes = 1 << 16;

/// Which one it is, whatever its name.
std::string identity_of(const std::string& path, const Image& image);

/// The world's files and volumes, with the same fault points as its hosts.
class FakeStorage : public MigrationStorage {
 public:
  explicit FakeStorage(std::shared_ptr<World> world) : world_(std::move(world)) {}

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
  /// With a rung or more in its middle.
  CopyDone copy_on_rungs(const HostImage& image, const VolumeName& volume, const CopyTerms& terms,
                         const Made& made);
  void wait_for_rung(const CopyTerms& terms);
  void copy_part(const std::string& call, const std::string& from, const std::string& to,
                 const ByteRanges& part, CopyBreaks& breaks);
  void copy_changed(const std::string& from, const std::string& to, CopyBreaks& breaks);
  CopyDone copy(const std::string& what, const std::string& from, const std::string& to,
                const ImageFormat& format, const CopyTerms& terms, const Made& made);
  /// A dead copy has left half of `from`, as it is now.
  bool fits(const std::string& from, const std::string& to) const;
  /// Where the image differs from what the volume held at its snapshot `mark`, by its layer or by
  /// snapshots.
  Content changes_since(const HostImage& image, const Image& there, const std::string& mark);
  /// The volume that a disk leaves, if it is the one that was looked at.
  const Image& require_same(const HostImage& image);
  /// Names of an old volume's snapshots: "vmferry-sync-1". Each is an image of its own.
  std::vector<std::string> old_snapshots(const std::string& volume) const;
  /// Answers whether another of that name was there, and stays.
  bool is_another(const std::string& image, const std::optional<std::string>& identity) const;
  /// As the copier does.
  void refuse_existing(const std::string& image);
  void create(const std::string& image, Image content, const Made& made = {});
  Usage usage(const std::string& image);

  const std::shared_ptr<World> world_;
};

}  // namespace vmferry::test
