// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>

#include "lib/core/format_bytes.h"
#include "lib/migrate/overlay_room.h"
#include "lib/migrate/run.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

std::string directory_of_overlay(const MovingDisk& disk) {
  return std::filesystem::path(disk.overlay).parent_path().string();
}

}  // namespace

void Run::remove_overlay(const MovingDisk& disk) {
  require_unnamed(disk.overlay);
  context_.storage->remove_file(disk.overlay, std::nullopt);
}

void Run::remove_bridge(const MovingDisk& disk) {
  if (!journal_.noted(bridged(disk))) {
    return;
  }
  require_unnamed(disk.bridge);
  context_.storage->remove_file(disk.bridge, std::nullopt);
  journal_.forget(bridged(disk));
}

uint64_t Run::overlay_limit(const MovingDisk& disk, uint64_t used) const {
  const uint64_t room = context_.storage->free_space(disk.overlay);
  const uint64_t there = room_for_overlay(used + room);
  return std::min(plan_.request.overlay_max.value_or(there), there);
}

void Run::fail_full(const MovingDisk& disk, uint64_t used) const {
  const bool may_be_warm = plan_.kind == RunKind::kMove && !plan_.request.to_files() &&
                           !plan_.request.to_other_host() && !disk.image.volume;
  const bool as_allowed = plan_.request.overlay_max && used >= *plan_.request.overlay_max;
  const std::string directory = directory_of_overlay(disk);
  const std::string why = as_allowed
                              ? "--overlay-max is " + about_bytes(*plan_.request.overlay_max)
                              : with_reserve(context_.storage->free_space(directory), directory);
  const std::string more_room =
      as_allowed ? "allow it more with --overlay-max"
                 : "make room in " + directory + ", or name another place with --overlay-dir";
  fail(ErrorKind::kIo, source_.name(), "watch the overlay of " + disk.dev,
       fmt::format("the guest wrote {} while its disk was copied, and no more fits in {}: {}",
                   about_bytes(used), disk.overlay, why),
       more_room + ", or move at a quieter time" +
           (may_be_warm ? "; or move it with vmferry sync, whose copy goes on then" : ""));
}

void Run::watch_overlays() {
  for (const MovingDisk& disk : plan_.disks) {
    if (!context_.storage->file_exists(disk.overlay)) {
      continue;
    }
    const uint64_t used = context_.storage->file_allocation(disk.overlay);
    const uint64_t limit = overlay_limit(disk, used);
    if (used >= limit && turned()) {  // only the end of the move makes room
      warn_of_room(disk.overlay);
      continue;
    }
    if (used >= limit) {
      fail_full(disk, used);
    }
    // At a half and at three quarters.
    const int quarter = static_cast<int>(used / (limit / 4 + 1));
    if (quarter >= 2 && quarter > overlay_warnings_) {
      overlay_warnings_ = quarter;
      context_.observer->warning(
          fmt::format("the overlay of {} holds {} of at most {}; at that the move is undone",
                      disk.dev, about_bytes(used), about_bytes(limit)));
    }
  }
}

void Run::warn_of_room(const std::string& overlay) {
  // Nothing but the end of the commit makes it smaller: there is no other way back.
  if (warned_of_room_) {
    return;
  }
  try {
    if (context_.storage->free_space(overlay) >= kOverlayReserve) {
      return;
    }
  } catch (const Error&) {
    return;  // the commit is worth more than this warning
  }
  warned_of_room_ = true;
  context_.observer->warning("there is hardly room left for " + overlay +
                             ", where the guest still writes: make some, or QEMU pauses the guest "
                             "when there is none");
}

bool Run::was_stopped() const {
  try {
    return is_live(plan_.method) && plan_.was_running && source_.state() == DomainState::kShutOff;
  } catch (const std::exception&) {
    return false;  // it is only told
  }
}

void Run::warn_of_paused_guest() {
  if (!is_live(plan_.method)) {
    return;
  }
  try {
    if (source_.failed_to_write()) {
      context_.observer->warning(
          "the guest is paused, as one of its writes failed: make room where its disks are, then "
          "let it go on: virsh resume " +
          source_.name());
    }
  } catch (const std::exception&) {
    return;  // what was done is done, also when memory is short
  }
}

}  // namespace vmferry::migrate
