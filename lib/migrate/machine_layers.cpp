// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/migrate/growing_pause.h"
#include "lib/migrate/machine.h"

// What is between the overlay that a guest writes to and its old disk, in a warm move.

namespace vmferry::migrate {

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
      fail(ErrorKind::kIo, name(), what,
           "the job ended, and " + disk.image.path + " is still there",
           "QEMU's log tells why: /var/log/libvirt/qemu/" + name() + ".log");
    }
    heard.take();
  }
  require_active(what);
}

/// What one that stops in this moment says of its chain is not what it was running on.
void Machine::require_active(const std::string& what) const {
  if (!active()) {
    fail(ErrorKind::kConflict, name(), what, "it was stopped in this moment", "try again");
  }
}

}  // namespace vmferry::migrate
