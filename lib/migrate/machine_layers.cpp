// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <filesystem>

#include "lib/migrate/growing_pause.h"
#include "lib/migrate/machine.h"

// What is between the overlay that a guest writes to and its old disk, in a warm move.

namespace vmferry::migrate {
namespace {

/// With so little room, what QEMU could not write is most likely for want of it.
constexpr uint64_t kHardlyAny = 4 << 20;

}  // namespace

bool Machine::has_layer(const MovingDisk& disk) const {
  const Domain now = definition(DefinitionKind::kLive);
  const DomainDisk* found = now.find_disk(disk.dev);
  return found != nullptr &&
         std::any_of(found->backing.begin(), found->backing.end(),
                     [&](const DiskImage& image) { return image.path == disk.image.path; });
}

void Machine::commit_layer(const MovingDisk& disk, const Watch& watch, bool tell) {
  const std::string what = "commit the layer of " + disk.dev;
  std::optional<BlockJob> job = our_job(disk);
  if (job && job->kind != BlockJob::Kind::kCommit) {
    abort_job(disk);
    job.reset();
  }
  if (!has_layer(disk)) {
    return require_active(what);
  }
  if (!job) {
    guest_->commit_layer(disk.dev, disk.image.path, disk.first_image->path);
  }
  GrowingPause pause(context_.patience.poll);
  while ((job = guest_->block_job(disk.dev))) {
    if (tell) {
      context_.observer->job(what, job->done, job->total, 0);
    }
    throw_if_stopped();
    watch();
    pause.take();
  }
  if (tell) {
    context_.observer->job_ended();
  }
  // libvirt takes it from the chain when it has heard that the job ended.
  const Clock::time_point give_up = now() + context_.patience.pivot;
  GrowingPause heard(context_.patience.poll);
  while (has_layer(disk)) {
    if (now() > give_up) {
      fail_ended(disk, what, "the job ended, and " + disk.image.path + " is still there");
    }
    heard.take();
  }
  require_active(what);
}

void Machine::fail_ended(const MovingDisk& disk, const std::string& what,
                         const std::string& cause) const {
  require_active(what);
  const std::string full = full_directory(disk);
  if (!full.empty()) {
    fail(ErrorKind::kIo, name(), what, cause + "; there is hardly any room left in " + full,
         "make room in " + full + " first");
  }
  fail(ErrorKind::kIo, name(), what, cause,
       "QEMU's log tells why: /var/log/libvirt/qemu/" + name() + ".log");
}

std::string Machine::full_directory(const MovingDisk& disk) const {
  if (disk.overlay.empty()) {
    return {};  // its files may be another host's
  }
  std::vector<std::string> paths = {disk.image.path, disk.overlay, disk.next_overlay};
  if (disk.first_image) {
    paths.push_back(disk.first_image->path);
  }
  try {
    for (const std::string& path : paths) {
      const auto look = path.empty() ? std::nullopt : context_.storage->look(path);
      if (look && !look->device && context_.storage->free_space(path) < kHardlyAny) {
        return std::filesystem::path(look->real).parent_path().string();
      }
    }
  } catch (const Error&) {
    return {};  // that the job ended counts more
  }
  return {};
}

/// What one that stops in this moment says of its chain is not what it was running on.
void Machine::require_active(const std::string& what) const {
  if (!active()) {
    fail(ErrorKind::kConflict, name(), what, "it was stopped in this moment", "try again");
  }
}

}  // namespace vmferry::migrate
