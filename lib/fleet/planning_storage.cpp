// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/planning_storage.h"

#include <exception>

#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

[[noreturn]] void refuse_change(const std::string& object) {
  throw Error({.kind = ErrorKind::kUsage,
               .object = object,
               .action = "change it",
               .cause = "a plan changes nothing"});
}

}  // namespace

template <typename Value>
Value PlanningStorage::once(std::map<std::string, Answer<Value>>& answers, const std::string& key,
                            const std::function<Value()>& ask) {
  const std::lock_guard guard(mutex_);
  const auto [at, is_new] = answers.try_emplace(key);
  Answer<Value>& answer = at->second;
  if (is_new) {
    try {
      answer.value = ask();
    } catch (const Error&) {
      answer.failure = std::current_exception();
    }
  }
  if (answer.failure) {
    std::rethrow_exception(answer.failure);
  }
  return answer.value;
}

PoolFacts PlanningStorage::pool(const std::string& pool) {
  return once<PoolFacts>(pools_, pool, [&] { return inner_.pool(pool); });
}

void PlanningStorage::prove_access(const std::string& pool) {
  once<bool>(proofs_, pool, [&] {
    inner_.prove_access(pool);
    return true;
  });
}

void PlanningStorage::prove_base(const std::string& base) {
  once<bool>(bases_, base, [&] {
    inner_.prove_base(base);
    return true;
  });
}

std::string PlanningStorage::user_key() {
  return once<std::string>(keys_, "", [&] { return inner_.user_key(); });
}

std::optional<Usage> PlanningStorage::volume(const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.volume(volume);
}

std::vector<std::string> PlanningStorage::volumes(const std::string& pool) {
  const std::lock_guard guard(mutex_);
  return inner_.volumes(pool);
}

size_t PlanningStorage::writers(const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.writers(volume);
}

std::vector<VolumeClone> PlanningStorage::clones(const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.clones(volume);
}

std::string PlanningStorage::identity(const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.identity(volume);
}

bool PlanningStorage::can_resume_in(const HostImage& image, const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.can_resume_in(image, volume);
}

bool PlanningStorage::same(const HostImage& image, const VolumeName& volume, std::stop_token stop) {
  const std::lock_guard guard(mutex_);
  return inner_.same(image, volume, std::move(stop));
}

bool PlanningStorage::can_resume_out(const VolumeName& volume, const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.can_resume_out(volume, path);
}

Usage PlanningStorage::image_usage(const HostImage& image) {
  const std::lock_guard guard(mutex_);
  return inner_.image_usage(image);
}

ImageParts PlanningStorage::image_parts(const HostImage& image) {
  const std::lock_guard guard(mutex_);
  return inner_.image_parts(image);
}

std::optional<FileLook> PlanningStorage::look(const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.look(path);
}

bool PlanningStorage::file_exists(const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.file_exists(path);
}

uint64_t PlanningStorage::file_allocation(const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.file_allocation(path);
}

uint64_t PlanningStorage::free_space(const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.free_space(path);
}

std::string PlanningStorage::file_system(const std::string& path) {
  const std::lock_guard guard(mutex_);
  return inner_.file_system(path);
}

void PlanningStorage::create_volume(const VolumeName& volume, uint64_t, const Made&) {
  refuse_change(volume.display());
}

bool PlanningStorage::remove_volume(const VolumeName& volume, const std::optional<std::string>&) {
  refuse_change(volume.display());
}

void PlanningStorage::sparsify_volume(const VolumeName& volume) { refuse_change(volume.display()); }

CopyDone PlanningStorage::copy_in(const HostImage&, const VolumeName& volume, const CopyTerms&,
                                  const Made&) {
  refuse_change(volume.display());
}

CopyDone PlanningStorage::copy_out(const VolumeName&, const std::string& path, const ImageLayout&,
                                   const CopyTerms&, const Made&) {
  refuse_change(path);
}

void PlanningStorage::remove_image(const HostImage& image) { refuse_change(image.path); }

void PlanningStorage::remove_old_file(const OldFile& file) { refuse_change(file.path); }

bool PlanningStorage::remove_file(const std::string& path, const std::optional<std::string>&) {
  refuse_change(path);
}

void PlanningStorage::create_overlay(const std::string& path, uint64_t, const std::string&,
                                     const std::string&) {
  refuse_change(path);
}

void PlanningStorage::create_empty_file(const std::string& path, uint64_t, const ImageLayout&,
                                        const Made&) {
  refuse_change(path);
}

CopyDone PlanningStorage::update_in(const HostImage&, const VolumeName& volume, const std::string&,
                                    const CopyTerms&) {
  refuse_change(volume.display());
}

CopyDone PlanningStorage::copy_changed_in(const HostImage&, const VolumeName& volume,
                                          const CopyTerms&) {
  refuse_change(volume.display());
}

ByteRanges PlanningStorage::own_ranges(const HostImage& image) { refuse_change(image.display()); }

void PlanningStorage::mark(const VolumeName& volume, const std::string&) {
  refuse_change(volume.display());
}

void PlanningStorage::unmark(const VolumeName& volume, const std::string&) {
  refuse_change(volume.display());
}

std::vector<std::string> PlanningStorage::marks(const VolumeName& volume) {
  const std::lock_guard guard(mutex_);
  return inner_.marks(volume);
}

bool PlanningStorage::is_as_marked(const VolumeName& volume, const std::string& mark) {
  const std::lock_guard guard(mutex_);
  return inner_.is_as_marked(volume, mark);
}

void PlanningStorage::mark_old(const HostImage& image, const std::string&) {
  refuse_change(image.display());
}

void PlanningStorage::unmark_old(const HostImage& image, const std::string&) {
  refuse_change(image.display());
}

std::vector<std::string> PlanningStorage::old_marks(const HostImage& image) {
  const std::lock_guard guard(mutex_);
  return inner_.old_marks(image);
}

}  // namespace vmferry::fleet
