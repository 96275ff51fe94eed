// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "lib/core/format_bytes.h"
#include "lib/migrate/check_list.h"
#include "lib/migrate/facts.h"
#include "lib/migrate/overlay_room.h"

// What holds of the overlays that a guest writes to meanwhile, before they are made. No I/O here.

namespace vmferry::migrate {
namespace {

/// What the guest may write into the overlays while its disks are copied, at the least.
constexpr uint64_t kOverlayComfort = uint64_t{1} << 30;

class OverlayChecker {
 public:
  OverlayChecker(const MigrateRequest& request, const Facts& facts, CheckList& checks)
      : request_(request), facts_(facts), checks_(checks) {}

  void check(const DiskFacts& disk) {
    const std::string name = "overlay of " + disk.move.dev;
    if (disk.overlay_taken) {
      return checks_.fail(name, disk.move.overlay + " or its bridge exists already",
                          "if a run was killed: " + facts_.recovery);
    }
    const std::string directory = std::filesystem::path(disk.move.overlay).parent_path().string();
    const std::string hint =
        "make room in " + directory + ", or name another place with --overlay-dir";
    const uint64_t free = left_free(disk);
    const uint64_t room = room_for_overlay(free);
    if (room == 0) {
      return no_room(name, with_reserve(free, directory), hint, disk);
    }
    if (request_.overlay_max.value_or(0) > room) {
      return checks_.fail(
          name,
          fmt::format("--overlay-max is {}, but there are only {}",
                      about_bytes(*request_.overlay_max), with_reserve(free, directory)),
          hint + ", or allow less with --overlay-max");
    }
    const std::string message =
        fmt::format("{} for what the guest writes meanwhile", about_bytes(room));
    if (room < kOverlayComfort) {
      checks_.warn(name, fmt::format("only {}: {}", message, with_reserve(free, directory)), hint);
    } else {
      checks_.pass(name, message);
    }
  }

 private:
  void no_room(const std::string& name, const std::string& message, const std::string& hint,
               const DiskFacts& disk) {
    if (is_short(disk) || is_guessed(disk)) {
      checks_.warn(name, message, hint);
    } else {
      checks_.fail(name, message, hint);
    }
  }

  /// A sync of volumes needs overlays for a moment, if at all.
  bool is_short(const DiskFacts& disk) const {
    return facts_.warm.kind == RunKind::kSync && disk.move.image.volume;
  }

  /// How small new files become that are compressed is not known before.
  bool is_guessed(const DiskFacts& disk) const {
    return request_.file_layout.compression && room_for_overlay(disk.overlay_room) != 0;
  }

  /// Beside new files it is what those leave.
  uint64_t left_free(const DiskFacts& disk) const {
    if (!request_.to_files() || !request_.overlay_dir.empty()) {
      return disk.overlay_room;
    }
    const uint64_t files = bytes_of_files(facts_, CopyMethod::kStaged);
    return disk.overlay_room - std::min(disk.overlay_room, files);
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  CheckList& checks_;
};

}  // namespace

std::string with_reserve(uint64_t free, const std::string& directory) {
  return fmt::format("{} free in {}, of which {} are kept for the host", about_bytes(free),
                     directory, about_bytes(kOverlayReserve));
}

void check_overlays(const MigrateRequest& request, const Facts& facts, CheckList& checks) {
  OverlayChecker checker(request, facts, checks);
  for (const DiskFacts& disk : facts.disks) {
    if (disk.problem.ok()) {
      checker.check(disk);
    }
  }
}

}  // namespace vmferry::migrate
