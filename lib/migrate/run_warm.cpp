// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "lib/migrate/run.h"
#include "lib/migrate/steps/steps.h"
#include "lib/migrate/sync_state.h"
#include "vmferry/error.h"

// What a run of a warm move knows of those before it, and leaves to those after it.

namespace vmferry::migrate {
namespace {

/// So many rounds are kept for predictions.
constexpr size_t kRoundsKept = 20;
/// Snapshots of the new volumes, of syncs before the last one.
constexpr unsigned kMarksKept = 8;

using Marks = std::vector<std::string>;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double seconds_or(const std::optional<std::string>& text, double otherwise) {
  return text ? std::strtod(text->c_str(), nullptr) : otherwise;
}

bool leaves_volumes(const Plan& plan) {
  return std::any_of(plan.disks.begin(), plan.disks.end(),
                     [](const MovingDisk& disk) { return disk.image.volume.has_value(); });
}

SyncedDisk synced_disk(const MovingDisk& disk) {
  SyncedDisk synced;
  synced.dev = disk.dev;
  synced.original = disk.first_image ? disk.first : disk.original;
  synced.image = disk.first_image.value_or(disk.image);
  synced.volume = disk.volume;
  synced.size = disk.size;
  if (!disk.image.volume) {
    synced.overlay = disk.overlay;
    synced.layer = disk.first_image ? disk.image.path : "";
  }
  return synced;
}

}  // namespace

void Run::require_planned_state() const {
  const unsigned done = plan_.kind == RunKind::kSync ? plan_.round - 1 : plan_.round;
  const unsigned found = warm_ ? warm_->last().number : 0;
  if (plan_.kind == RunKind::kMove || done == found) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "go on with the warm move",
       fmt::format("its last sync is {} now, and was {} when this was planned", found, done),
       "another run ended meanwhile: try again");
}

std::string Run::last_mark() const {
  return sync_mark(plan_.kind == RunKind::kSync ? plan_.round - 1 : plan_.round);
}

bool Run::begins_on_overlays() const {
  const bool is_end = plan_.kind == RunKind::kCutover || plan_.kind == RunKind::kStop;
  return is_end && plan_.method == CopyMethod::kStaged && !leaves_volumes(plan_);
}

bool Run::reads_snapshots() const { return plan_.kind == RunKind::kSync && leaves_volumes(plan_); }

MovingDisk Run::as_read(MovingDisk disk) const {
  if (reads_snapshots()) {
    disk.image.volume->snapshot = sync_mark(plan_.round);
  }
  return disk;
}

bool Run::is_sync_copied() const {
  const bool by_snapshots = reads_snapshots();
  if (plan_.kind != RunKind::kSync ||
      pending(by_snapshots ? CopyMarked::kName : CopyFrozen::kName)) {
    return false;
  }
  const bool is_later = !plan_.disks.empty() && plan_.disks.front().first_image.has_value();
  return (is_later || !pending(MarkVolumes::kName)) &&
         std::all_of(plan_.disks.begin(), plan_.disks.end(), [&](const MovingDisk& disk) {
           return source_.place(disk) == (by_snapshots ? Place::kOriginal : Place::kOverlay);
         });
}

void Run::update_disk(const MovingDisk& disk, std::stop_token stop) {
  if (journal_.noted(copied(disk)) && (!recovering_ || journal_.noted(marked(disk)))) {
    return;
  }
  const std::string found = places_.fresh->identity(disk);
  const auto is_it = [&](const SyncedDisk& synced) {
    return synced.dev == disk.dev && synced.volume_identity == found;
  };
  if (!warm_ || std::none_of(warm_->disks.begin(), warm_->disks.end(), is_it)) {
    fail(ErrorKind::kConflict, source_.name(), "bring " + goal(disk) + " up to date",
         found.empty() ? "it is gone" : "another volume has its name now",
         "give the warm move up (vmferry sync --stop), and begin it anew");
  }
  journal_.forget(copied(disk));
  copies_[disk.dev] = context_.storage->update_in(disk.image, disk.volume, last_mark(),
                                                  {.frozen = is_live(plan_.method),
                                                   .bandwidth = plan_.request.bandwidth,
                                                   .rate = context_.rate,
                                                   .stop = stop});
  journal_.record(changed(disk), std::to_string(copies_[disk.dev].changed_bytes));
  journal_.note(copied(disk));
}

void Run::remove_old_marks(const MovingDisk& disk) const {
  MigrationStorage& storage = *context_.storage;
  try {
    for (const std::string& mark : storage.marks(disk.volume)) {
      const unsigned number = round_of(mark);
      if (number != 0 && number + kMarksKept < plan_.round) {
        storage.unmark(disk.volume, mark);
      }
    }
    // The next sync asks an old volume for what is new since this one.
    for (const std::string& mark : disk.image.volume ? storage.old_marks(disk.image) : Marks()) {
      const unsigned number = round_of(mark);
      if (number != 0 && number < plan_.round) {
        storage.unmark_old(disk.image, mark);
      }
    }
  } catch (const Error& error) {
    context_.observer->warning(std::string("an old snapshot stays: ") + error.what());
  }
}

SyncState Run::state_to_keep() const {
  SyncState state = warm_.value_or(SyncState());
  if (!warm_) {
    state.request = plan_.request;
    state.uuid = plan_.uuid;
    state.host = plan_.source_host;
    state.original_persistent = plan_.original_persistent;
    state.stays = plan_.stays;
  }
  const std::vector<SyncedDisk> before = std::move(state.disks);
  state.disks.clear();
  uint64_t bytes = 0;
  for (const MovingDisk& disk : plan_.disks) {
    SyncedDisk now = synced_disk(disk);
    now.volume_identity = places_.fresh->identity(disk);
    const auto look = now.overlay.empty() ? std::nullopt : context_.storage->look(now.overlay);
    now.overlay_identity = look ? look->identity : "";
    state.disks.push_back(std::move(now));
    const std::optional<std::string> text = journal_.recorded(changed(disk));
    bytes += text ? std::strtoull(text->c_str(), nullptr, 10) : disk.data;
  }
  if (state.rounds.empty() || state.last().number < plan_.round) {
    const double now = seconds_since_1970();
    const double frozen = seconds_or(journal_.recorded(kFrozenAt), now);
    const double began = seconds_or(journal_.recorded(kFirstFrozenAt), frozen);
    state.rounds.push_back({.number = plan_.round,
                            .frozen_at = static_cast<int64_t>(frozen),
                            .changed = bytes,
                            .seconds = std::max(0.0, now - began)});
  }
  if (state.rounds.size() > kRoundsKept) {
    state.rounds.erase(state.rounds.begin());
  }
  return state;
}

}  // namespace vmferry::migrate
