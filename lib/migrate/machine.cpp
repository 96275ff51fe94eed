// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "lib/core/blocking_call.h"
#include "lib/core/shell_word.h"
#include "lib/migrate/growing_pause.h"
#include "lib/migrate/journal.h"

namespace vmferry::migrate {
namespace {

using namespace std::chrono_literals;

/// A guest that is just booting does not hear the power button.
constexpr auto kAskAgain = 10s;

}  // namespace

void fail(ErrorKind kind, const std::string& domain, const std::string& action,
          const std::string& cause, const std::string& hint) {
  throw Error(
      {.kind = kind, .object = "domain " + domain, .action = action, .cause = cause, .hint = hint});
}

Error about_new_file(const Error& error, const std::string& file) {
  ErrorParts parts = error.parts();
  if (!file.empty() && parts.hint.empty() &&
      parts.cause.find("No such file or directory") != std::string::npos) {
    parts.hint = "libvirt has to see the directory of " + file +
                 " as it is here; name another place with --overlay-dir";
    return Error(parts);
  }
  if (file.empty() || parts.cause.find("Permission denied") == std::string::npos) {
    return error;
  }
  parts.cause += "; " + file + " was made by root, and QEMU runs as another user";
  parts.hint =
      "libvirt hands files over to QEMU's user only with dynamic_ownership = 1 (its default, in "
      "qemu.conf); set it and restart libvirt's daemon, or move to RBD with --mode offline or "
      "--method mirror, which make no files";
  return Error(parts);
}

bool Machine::active() const {
  const DomainState state = this->state();
  return state == DomainState::kRunning || state == DomainState::kPaused ||
         state == DomainState::kOther;
}

Domain Machine::definition(DefinitionKind kind) const {
  const std::string text = guest_->definition(kind);
  const auto seen = seen_.find(kind);
  if (seen != seen_.end() && seen->second.text == text) {
    return seen->second;
  }
  return seen_.insert_or_assign(kind, parse_domain(text, "domain " + name())).first->second;
}

Domain Machine::definition() const {
  return definition(active() ? DefinitionKind::kLive : DefinitionKind::kPersistent);
}

Place Machine::place(const MovingDisk& disk, DefinitionKind kind) const {
  return place_in(definition(kind), disk);
}

Place Machine::place_in(const Domain& domain, const MovingDisk& disk) const {
  const DomainDisk* found = domain.find_disk(disk.dev);
  return found ? place_of(found->image, disk) : Place::kElsewhere;
}

Place Machine::place_of(const DiskImage& image, const MovingDisk& disk) const {
  if (image.display() == disk.original) {
    return Place::kOriginal;
  }
  if (!image.path.empty() && (image.path == disk.overlay || image.path == disk.next_overlay)) {
    return Place::kOverlay;
  }
  if (!disk.bridge.empty() && image.path == disk.bridge) {
    return Place::kBridge;
  }
  return goal_.is(image, disk) ? Place::kTarget : Place::kElsewhere;
}

Place Machine::place(const MovingDisk& disk) const { return place_in(definition(), disk); }

bool Machine::never_ran() const {
  return state() == DomainState::kPaused && guest_->run_state() == "prelaunch";
}

bool Machine::half_started() const {
  // QEMU is not asked before whoever starts it is done: libvirt lets nobody in meanwhile.
  return guest_->starting() && never_ran() && guest_->starting();
}

bool Machine::half_made() const {
  return state() == DomainState::kPaused && guest_->run_state() == "inmigrate";
}

bool Machine::failed_to_write() const {
  return state() == DomainState::kPaused && guest_->run_state() == "io-error";
}

void Machine::throw_if_stopped() const {
  if (context_.stop.stop_requested()) {
    throw cancelled_error();
  }
}

void Machine::adjust_rate(const MovingDisk& disk, const BlockJob& job,
                          std::map<std::string, uint64_t>& rates) const {
  if (!context_.rate || job.kind != BlockJob::Kind::kCopy) {
    return;
  }
  const uint64_t rate = context_.rate();
  const auto set = rates.find(disk.dev);
  if (set != rates.end() && set->second == rate) {
    return;
  }
  rates[disk.dev] = rate;
  try {
    guest_->limit_block_job(disk.dev, rate);
  } catch (const Error& error) {  // it may have ended just now: who waits for it will see
    context_.observer->warning("the copy of " + disk.dev + " keeps its rate: " + error.what());
  }
}

void Machine::wait_ready(const std::vector<const MovingDisk*>& disks, Place goal,
                         const std::string& what, std::optional<Clock::time_point> deadline,
                         const Watch& watch) {
  std::map<std::string, uint64_t> rates;
  GrowingPause pause(context_.patience.poll);
  while (true) {
    uint64_t done = 0;
    uint64_t total = 0;
    bool ready = true;
    for (const MovingDisk* disk : disks) {
      const std::optional<BlockJob> job = guest_->block_job(disk->dev);
      if (!job && place(*disk) == goal) {
        continue;
      }
      if (!job) {
        fail_ended(*disk, what, "the job of " + disk->dev + " ended by itself");
      }
      adjust_rate(*disk, *job, rates);
      done += job->done;
      total += job->total;
      ready = ready && job->ready;
    }
    context_.observer->job(what, done, total, 0);
    if (ready) {
      return context_.observer->job_ended();
    }
    throw_if_stopped();
    if (deadline && now() > *deadline) {
      fail(ErrorKind::kIo, name(), what, "not done within --timeout",
           "the guest writes faster than that, or the cluster is slow; try a longer one");
    }
    if (watch) {
      watch();
    }
    pause.take();
  }
}

void Machine::pivot(const MovingDisk& disk, Place expected, const std::function<void()>& pivoted) {
  const Clock::time_point give_up = now() + context_.patience.pivot;
  bool told = false;
  GrowingPause pause(context_.patience.poll);
  while (true) {
    BlockingCall call([guest = guest_, dev = disk.dev] { guest->pivot(dev); });
    while (!call.wait(context_.patience.watch)) {
      if (!told && now() > give_up) {
        context_.observer->warning("the switch of " + disk.dev +
                                   " hangs: the guest waits for the cluster; is an OSD down?");
        told = true;
      }
      if (told) {
        throw_if_stopped();
      }
    }
    try {
      call.result();
    } catch (const Error&) {
      // Only the definition tells what really happened.
      if (place(disk) == expected) {
        return;
      }
      if (now() > give_up || !guest_->block_job(disk.dev)) {
        throw;
      }
      pause.take();
      continue;
    }
    if (pivoted) {
      pivoted();
    }
    break;
  }
  if (place(disk) != expected) {
    fail(ErrorKind::kIo, name(), "switch " + disk.dev,
         "libvirt says that it is done, but the definition names another image");
  }
}

bool Machine::is_ours(const BlockJob& job, const MovingDisk& disk) const {
  const bool staged = plan_.method == CopyMethod::kStaged;
  if (job.kind == BlockJob::Kind::kActiveCommit) {
    return staged;
  }
  if (job.kind == BlockJob::Kind::kCommit) {
    return disk.first_image.has_value();
  }
  if (job.kind != BlockJob::Kind::kCopy) {
    return false;
  }
  return job.target.empty() || job.target == (staged ? disk.bridge : goal_.name_in_jobs(disk));
}

std::optional<BlockJob> Machine::our_job(const MovingDisk& disk) const {
  std::optional<BlockJob> job = guest_->block_job(disk.dev);
  if (!job || is_ours(*job, disk)) {
    return job;
  }
  const std::string goes_to = job->target.empty() ? "" : " (a copy to " + job->target + ")";
  fail(ErrorKind::kConflict, name(), "go on with " + disk.dev,
       "a block job runs for it that this move did not begin" + goes_to,
       "wait for it, or end it (virsh blockjob " + shell_word(name()) + " " + disk.dev +
           " --abort; a backup: virsh domjobabort " + shell_word(name()) +
           "), then: " + recover_command(plan_.kind, name(), context_.state_dir));
}

void Machine::abort_job(const MovingDisk& disk) {
  if (!active()) {
    return;
  }
  const std::optional<BlockJob> job = guest_->block_job(disk.dev);
  if (!job || !is_ours(*job, disk)) {
    return;  // what is not ours is not in the way, or stops us
  }
  guest_->abort_block_job(disk.dev);
  const Clock::time_point give_up = now() + context_.patience.abort_job;
  GrowingPause pause(context_.patience.poll);
  while (active() && guest_->block_job(disk.dev)) {
    if (now() > give_up) {
      fail(ErrorKind::kIo, name(), "abort the block job of " + disk.dev,
           "it does not end; an OSD may be down, and it ends when that is back");
    }
    pause.take();
  }
}

void Machine::require_below(const MovingDisk& disk, Place expected) const {
  const Domain now = definition(DefinitionKind::kLive);
  const DomainDisk* found = now.find_disk(disk.dev);
  if (!found || found->backing.empty()) {
    return;  // it does not tell
  }
  const Place below = place_of(found->backing.front(), disk);
  if (below == expected || below == Place::kElsewhere) {
    return;  // libvirt may name it otherwise
  }
  fail(ErrorKind::kConflict, name(), "commit " + disk.dev,
       found->image.display() + " lies over " + found->backing.front().display() +
           ", which this move did not do");
}

void Machine::commit(const MovingDisk& disk, Place expected, const Watch& watch,
                     const std::function<void()>& before_pivot) {
  require_below(disk, expected);
  const std::optional<BlockJob> job = our_job(disk);
  if (!job || job->kind != BlockJob::Kind::kActiveCommit) {
    const Place before = place(disk);
    abort_job(disk);
    const Place after = place(disk);
    if (after == expected) {
      return;  // it pivoted just now
    }
    if (after != before) {
      fail(ErrorKind::kConflict, name(), "commit " + disk.dev, "it was switched in this moment",
           "go on with: " + recover_command(plan_.kind, name(), context_.state_dir));
    }
    guest_->commit_active(disk.dev, 0);
  }
  wait_ready({&disk}, expected, "commit " + disk.dev, std::nullopt, watch);
  if (before_pivot) {
    before_pivot();
  }
  pivot(disk, expected);
}

bool Machine::shut_down(std::chrono::seconds time) {
  const Clock::time_point give_up = now() + time;
  Clock::time_point ask_again = now();
  while (state() != DomainState::kShutOff) {
    throw_if_stopped();
    const Clock::time_point time_now = now();
    if (time_now > give_up) {
      return false;
    }
    if (time_now >= ask_again) {
      ask_again = time_now + kAskAgain;
      try {
        guest_->shut_down();
      } catch (const Error&) {
        if (state() != DomainState::kShutOff) {
          throw;  // else it went off just now
        }
      }
    }
    std::this_thread::sleep_for(context_.patience.poll * 4);
  }
  return true;
}

void Machine::wait_until_idle() {
  const Clock::time_point began = now();
  const Clock::time_point give_up = began + context_.patience.abort_job;
  Clock::time_point idle_since = began;
  for (Clock::time_point time = began; active(); time = now()) {
    throw_if_stopped();
    if (guest_->busy()) {
      idle_since = time;
    } else if (time - idle_since >= context_.patience.settle) {
      return;
    }
    if (time > give_up) {
      fail(ErrorKind::kConflict, name(), "wait for what was asked of libvirt before",
           "it is not done yet",
           "an OSD may be down ('ceph -s'): it goes on when that is back; if Ceph is well and "
           "'virsh domcontrol " +
               shell_word(name()) + "' still tells of a job or an error, restart libvirt's daemon");
    }
    std::this_thread::sleep_for(context_.patience.poll);
  }
}

void Machine::wait_until_off(std::chrono::seconds time) {
  const Clock::time_point give_up = now() + time;
  while (state() != DomainState::kShutOff && now() < give_up) {
    std::this_thread::sleep_for(context_.patience.poll * 4);
  }
}

}  // namespace vmferry::migrate
