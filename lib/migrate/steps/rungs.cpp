// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/rungs.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "lib/core/format_bytes.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"

// The rungs of a first sync. Each is a later sync in small, but for the copy: freeze the overlay
// under a new one, see what it has of its own, commit it, remove it. Whatever dies in it, the guest
// is on the newest of at most two overlays, and both go into the image in their order.

namespace vmferry::migrate {
namespace {

using namespace std::chrono_literals;

/// How long reads of a local image may take: to wait for at once, and in all.
constexpr auto kOneWait = 1s;
constexpr auto kAllWaits = 60s;
/// In so many rungs, one after the other, nothing was copied: that would go on for ever.
constexpr unsigned kMostIdle = 3;
/// A rung for less than that makes no room.
constexpr uint64_t kLeastWorth = 16 << 20;
constexpr uint64_t kSpare = 64 << 20;  // beside what is committed

/// The overlay of the disk as an image between the next one and the first.
MovingDisk as_layer(const MovingDisk& disk) {
  MovingDisk layer = disk;
  layer.first = disk.original;
  layer.first_image = disk.image;
  layer.original = layer.image.path = disk.overlay;
  layer.image.format = *find_format("qcow2");
  layer.image.backing.insert(layer.image.backing.begin(), disk.image.path);
  layer.image.identity.clear();
  layer.overlay = disk.next_overlay;
  return layer;
}

}  // namespace

bool Rungs::fit(const Plan& plan) {
  return plan.kind == RunKind::kSync && plan.method == CopyMethod::kStaged &&
         std::none_of(plan.disks.begin(), plan.disks.end(),
                      [](const MovingDisk& disk) { return disk.first_image || disk.image.volume; });
}

CopyBreaks& Rungs::begin_copy(const MovingDisk& disk) {
  breaks_.erase(disk.dev);
  return breaks_[disk.dev];
}

const MovingDisk* Rungs::find_behind() {
  const auto found = std::max_element(
      plan_.disks.begin(), plan_.disks.end(), [this](const MovingDisk& a, const MovingDisk& b) {
        return breaks(a).changed_bytes() < breaks(b).changed_bytes();
      });
  const bool is_behind = found != plan_.disks.end() && breaks(*found).changed_bytes() != 0;
  return is_behind ? &*found : nullptr;
}

uint64_t Rungs::bytes_behind() {
  return std::accumulate(
      plan_.disks.begin(), plan_.disks.end(), uint64_t{0},
      [this](uint64_t sum, const MovingDisk& disk) { return sum + breaks(disk).changed_bytes(); });
}

void Rungs::watch(CopyBreaks& running) {
  const std::optional<Full> full = source_.active() ? find_full() : std::nullopt;
  if (!full) {
    asked_.reset();
    return;
  }
  if (!running.begin(kOneWait)) {
    asked_ = asked_.value_or(source_.now());
    if (source_.now() - *asked_ > kAllWaits) {
      run_.fail_full(*full->disk, full->used);
    }
    return;
  }
  asked_.reset();
  try {
    climb(*full);
  } catch (...) {
    running.give_up();  // the image may be written to
    throw;
  }
}

std::optional<Rungs::Full> Rungs::find_full() const {
  for (const MovingDisk& disk : plan_.disks) {
    if (!context_.storage->file_exists(disk.overlay)) {
      continue;
    }
    const uint64_t used = context_.storage->file_allocation(disk.overlay);
    const bool is_full = used >= run_.overlay_limit(disk, used);
    const bool as_allowed = plan_.request.overlay_max && used >= *plan_.request.overlay_max;
    if (is_full && !as_allowed && used < kLeastWorth) {
      run_.fail_full(disk, used);
    }
    if (is_full || (used >= kLeastWorth && is_last_room(disk, used))) {
      return Full{&disk, used};
    }
  }
  return std::nullopt;
}

/// Is there just room to commit the overlay? The image may grow by all that it has.
bool Rungs::is_last_room(const MovingDisk& disk, uint64_t used) const {
  const std::optional<FileLook> look = context_.storage->look(disk.image.path);
  if (!look || look->device) {
    return false;
  }
  uint64_t grows = used;
  if (!disk.image.format.is_container()) {
    const uint64_t has = context_.storage->file_allocation(disk.image.path);
    grows = std::min(used, disk.size - std::min(disk.size, has));
  }
  const uint64_t room = context_.storage->free_space(disk.image.path);
  return grows != 0 && room > grows && room <= grows + kSpare;
}

void Rungs::climb(const Full& full) {
  require_progress();
  const unsigned rung = next_rung();
  context_.observer->step(
      fmt::format("the overlay of {} holds {}: committing it, then the copy goes on (rung {})",
                  full.disk->dev, about_bytes(full.used), rung));
  journal_.note(kChanged);
  journal_.begin_rung(rung);
  snapshot();
  std::map<std::string, ByteRanges> changed;
  for (const MovingDisk& disk : plan_.disks) {
    changed[disk.dev] = context_.storage->own_ranges(as_layer(disk).image);
  }
  settle();
  for (const auto& [dev, ranges] : changed) {
    breaks_[dev].end(ranges);
  }
}

void Rungs::require_progress() {
  uint64_t reads = 0;
  for (const auto& [dev, breaks] : breaks_) {
    reads += breaks.reads();
  }
  idle_rungs_ = reads == reads_ ? idle_rungs_ + 1 : 0;
  reads_ = reads;
  if (idle_rungs_ == kMostIdle) {
    fail(ErrorKind::kIo, source_.name(), "go on with the copy",
         "the guest fills its overlays while they are committed, and nothing is copied meanwhile",
         "give it more room with --overlay-max, or try at a quieter time");
  }
}

/// Whatever has a name that a rung would take is somebody's.
unsigned Rungs::next_rung() const {
  unsigned rung = journal_.rung() + 1;
  const auto is_taken = [this](const MovingDisk& disk, unsigned number) {
    return context_.storage->file_exists(journal_.overlay(disk, number));
  };
  while (std::any_of(plan_.disks.begin(), plan_.disks.end(),
                     [&](const MovingDisk& disk) { return is_taken(disk, rung); })) {
    ++rung;
  }
  return rung;
}

void Rungs::snapshot() {
  Plan next = plan_;
  for (MovingDisk& disk : next.disks) {
    disk.overlay = disk.next_overlay;
  }
  try {
    source_.guest().snapshot(snapshot_definition(next, source_.definition(DefinitionKind::kLive)),
                             plan_.request.quiesce);
  } catch (const Error& error) {
    // libvirt takes away what it made of a snapshot that failed; what else is there is somebody's.
    if (count_on_next() == 0) {
      journal_.end_rung(false);
    }
    require_running();
    throw about_new_file(error, next.disks.front().overlay);
  }
  if (count_on_next() != plan_.disks.size()) {
    fail(ErrorKind::kIo, source_.name(), "freeze the disks once more",
         "libvirt took the snapshot, but not all of them are on their overlays");
  }
  const std::optional<std::string> before = journal_.recorded(kFrozenAt);
  if (before && !journal_.recorded(kFirstFrozenAt)) {
    journal_.record(kFirstFrozenAt, *before);
  }
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  journal_.record(kFrozenAt, fmt::format("{:.3f}", now.count()));
}

/// A guest whose QEMU ends in the middle of it is seen to be off a moment later only.
void Rungs::require_running() const {
  for (int looks = 20; looks > 0; --looks) {
    if (!source_.active()) {
      fail(ErrorKind::kConflict, source_.name(), "freeze the disks once more",
           "the guest was stopped meanwhile", "start it, and try again");
    }
    if (looks > 1) {
      std::this_thread::sleep_for(context_.patience.poll);
    }
  }
}

size_t Rungs::count_on_next() const {
  const Domain now = source_.definition();
  const auto is_on_next = [&now](const MovingDisk& disk) {
    const DomainDisk* found = now.find_disk(disk.dev);
    return found != nullptr && found->image.path == disk.next_overlay;
  };
  return static_cast<size_t>(std::count_if(plan_.disks.begin(), plan_.disks.end(), is_on_next));
}

void Rungs::settle() {
  if (!journal_.between_rungs()) {
    return;
  }
  const size_t on_next = count_on_next();
  if (on_next == 0) {
    return leave_next();
  }
  if (on_next != plan_.disks.size()) {
    fail(ErrorKind::kConflict, source_.name(), "commit its overlays",
         "some disk is on an older one than the others");
  }
  commit_layers();
  for (const MovingDisk& disk : plan_.disks) {
    run_.require_unnamed(disk.overlay);
    context_.storage->remove_file(disk.overlay, std::nullopt);
  }
  journal_.end_rung(true);
}

void Rungs::commit_layers() {
  for (const MovingDisk& disk : plan_.disks) {
    run_.wake();
    source_.commit_layer(
        as_layer(disk), [&] { run_.warn_of_room(disk.next_overlay); }, false);
  }
  run_.put_to_sleep();
}

/// The snapshot was not taken, or died before it was.
void Rungs::leave_next() {
  for (const MovingDisk& disk : plan_.disks) {
    if (run_.was_written(disk.next_overlay, disk.size)) {
      fail(
          ErrorKind::kConflict, source_.name(), "go on with " + disk.dev,
          "it is on " + disk.overlay +
              " again, though this move had brought it further: what the guest wrote since is in " +
              disk.next_overlay,
          "put the disk back on that one, then: " + run_.recovery());
    }
  }
  for (const MovingDisk& disk : plan_.disks) {
    run_.require_unnamed(disk.next_overlay);
    context_.storage->remove_file(disk.next_overlay, std::nullopt);
  }
  journal_.end_rung(false);
}

}  // namespace vmferry::migrate
