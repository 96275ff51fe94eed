// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "vmferry/migrate.h"

namespace vmferry::fleet {

/// The storage of many plans: what is the same for all guests is asked for once, a failure
/// likewise, and whatever would change something is refused. Any thread, though `inner` is one
/// thread's.
class PlanningStorage : public MigrationStorage {
 public:
  explicit PlanningStorage(MigrationStorage& inner) : inner_(inner) {}

  PoolFacts pool(const std::string& pool) override;
  void prove_access(const std::string& pool) override;
  void prove_base(const std::string& base) override;
  std::string user_key() override;

  std::optional<Usage> volume(const VolumeName& volume) override;
  std::vector<std::string> volumes(const std::string& pool) override;
  size_t writers(const VolumeName& volume) override;
  std::string identity(const VolumeName& volume) override;
  std::vector<VolumeClone> clones(const VolumeName& volume) override;
  bool can_resume_in(const HostImage& image, const VolumeName& volume) override;
  bool same(const HostImage& image, const VolumeName& volume, std::stop_token stop) override;
  bool can_resume_out(const VolumeName& volume, const std::string& path) override;
  Usage image_usage(const HostImage& image) override;
  ImageParts image_parts(const HostImage& image) override;
  std::optional<FileLook> look(const std::string& path) override;
  bool file_exists(const std::string& path) override;
  uint64_t file_allocation(const std::string& path) override;
  uint64_t free_space(const std::string& path) override;
  std::string file_system(const std::string& path) override;

  void create_volume(const VolumeName& volume, uint64_t size, const Made& made) override;
  bool remove_volume(const VolumeName& volume, const std::optional<std::string>& identity) override;
  void sparsify_volume(const VolumeName& volume) override;
  CopyDone copy_in(const HostImage& image, const VolumeName& volume, const CopyTerms& terms,
                   const Made& made) override;
  CopyDone copy_out(const VolumeName& volume, const std::string& path, const ImageLayout& layout,
                    const CopyTerms& terms, const Made& made) override;
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
  void remove_image(const HostImage& image) override;
  void remove_old_file(const OldFile& file) override;
  bool remove_file(const std::string& path, const std::optional<std::string>& identity) override;
  void create_overlay(const std::string& path, uint64_t size, const std::string& backing,
                      const std::string& backing_format) override;
  void create_empty_file(const std::string& path, uint64_t size, const ImageLayout& layout,
                         const Made& made) override;

 private:
  /// An answer, or the failure that came in its place.
  template <typename Value>
  struct Answer {
    Value value = {};
    std::exception_ptr failure = {};
  };
  template <typename Value>
  Value once(std::map<std::string, Answer<Value>>& answers, const std::string& key,
             const std::function<Value()>& ask);

  std::mutex mutex_;  ///< of all calls
  MigrationStorage& inner_;
  std::map<std::string, Answer<PoolFacts>> pools_;
  std::map<std::string, Answer<bool>> proofs_;
  std::map<std::string, Answer<bool>> bases_;
  std::map<std::string, Answer<std::string>> keys_;
};

}  // namespace vmferry::fleet
