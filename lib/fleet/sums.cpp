// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "lib/core/counted.h"
#include "lib/core/format_bytes.h"
#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

/// For the time where no bandwidth was given: an example.
constexpr uint64_t kExampleRate = uint64_t{100} << 20;
/// What a guest may write while its disk is copied, at the least: as for one migration.
constexpr uint64_t kComfort = uint64_t{1} << 30;

/// "2 d 4 h", "3 h 20 min", "5 min".
std::string about_time(double seconds) {
  const auto minutes = static_cast<uint64_t>(std::ceil(seconds / 60));
  if (minutes < 60) {
    return fmt::format("{} min", minutes);
  }
  if (minutes / 60 < 48) {
    return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  }
  return fmt::format("{} d {} h", minutes / 60 / 24, minutes / 60 % 24);
}

class SumMaker {
 public:
  SumMaker(const std::vector<HostSurvey>& hosts, MigrationStorage& storage, FleetSurvey& survey)
      : hosts_(hosts), storage_(storage), survey_(survey), plan_(survey.plan) {}

  void make() {
    data();
    for (const auto& [pool, bytes] : by_pool()) {
      room_in(pool, bytes);
    }
    for (const HostSurvey& host : hosts_) {
      overlays(host);
      sharing(host);
    }
  }

 private:
  void say(std::string line) { survey_.sums.push_back(std::move(line)); }

  void data() {
    uint64_t bytes = 0;
    size_t live = 0;
    std::set<std::string> names;
    for (const FleetJob& job : plan_.jobs) {
      bytes += job.data;
      live += job.way == MigrateMode::kLive ? 1 : 0;
      names.insert(job.host);
    }
    say(fmt::format("{} on {}: {} live, {} offline; {} of data to copy",
                    counted(plan_.jobs.size(), "guest"), counted(names.size(), "host"), live,
                    plan_.jobs.size() - live, about_bytes(bytes)));
    const bool given = plan_.limits.bandwidth != 0;
    const uint64_t rate = given ? plan_.limits.bandwidth : kExampleRate;
    say(fmt::format("time: {} at {}/s{}, and what guests take to shut down and start",
                    about_time(static_cast<double>(bytes) / static_cast<double>(rate)),
                    about_bytes(rate), given ? "" : " (there is no limit; that is an example)"));
  }

  std::map<std::string, uint64_t> by_pool() const {
    std::map<std::string, uint64_t> sums;
    for (const HostSurvey& host : hosts_) {
      for (const SurveyedGuest& guest : host.guests) {
        for (const auto& [pool, bytes] : guest.data) {
          sums[pool] += bytes;
        }
      }
    }
    return sums;
  }

  void room_in(const std::string& pool, uint64_t bytes) {
    const PoolFacts facts = storage_.pool(pool);
    std::string line = fmt::format("pool {}: {} of data", pool, about_bytes(bytes));
    if (facts.overhead > 0) {
      const double stored = static_cast<double>(bytes) * facts.overhead;
      line += fmt::format(", {} on its disks ({:.4g} for each byte)",
                          about_bytes(static_cast<uint64_t>(stored)), facts.overhead);
    }
    if (facts.available == std::numeric_limits<uint64_t>::max()) {
      return say(line + "; the cluster does not tell how much is free");
    }
    line += fmt::format("; {} may be written", about_bytes(facts.available));
    if (facts.until_nearly_full) {
      line += fmt::format(", about {} of it until the cluster is nearly full",
                          about_bytes(*facts.until_nearly_full));
    }
    say(line);
    if (bytes > facts.available) {
      survey_.troubles.push_back(fmt::format("pool {} has no room for all: {} of data, {} free",
                                             pool, about_bytes(bytes),
                                             about_bytes(facts.available)));
    } else if (bytes > facts.until_nearly_full.value_or(facts.available)) {
      survey_.troubles.push_back(fmt::format(
          "pool {}: with {} of data the cluster becomes nearly full", pool, about_bytes(bytes)));
    }
  }

  struct OverlayRoom {
    std::string directory;
    std::vector<size_t> disks;  ///< of each guest
  };

  /// As many at once as the limits let, those with the most disks.
  void overlays(const HostSurvey& host) {
    std::map<std::string, OverlayRoom> rooms;
    size_t unknown = 0;
    for (const SurveyedGuest& guest : host.guests) {
      std::map<std::string, size_t> disks;
      for (const std::string& overlay : guest.overlays) {
        const std::string directory = std::filesystem::path(overlay).parent_path().string();
        const std::string file_system = storage_.file_system(directory);
        rooms[file_system].directory = directory;
        ++disks[file_system];
      }
      for (const auto& [file_system, count] : disks) {
        rooms[file_system].disks.push_back(count);
      }
      unknown += guest.staged && guest.overlays.empty() ? 1 : 0;
    }
    for (auto& [file_system, room] : rooms) {
      overlay_room(host, room);
    }
    if (unknown != 0) {
      say(
          fmt::format("{}: room for the overlays of {} is not known from here; 'vmferry fleet plan "
                      "--check' on {} tells",
                      host.facts.hostname, counted(unknown, "guest"), host.facts.hostname));
    }
  }

  void overlay_room(const HostSurvey& host, OverlayRoom& room) {
    std::sort(room.disks.rbegin(), room.disks.rend());
    const size_t at_once = std::min<size_t>(
        room.disks.size(), std::min(plan_.limits.jobs, plan_.limits.jobs_per_host));
    size_t disks = 0;
    for (size_t i = 0; i < at_once; ++i) {
      disks += room.disks[i];
    }
    const uint64_t free = storage_.free_space(room.directory);
    const uint64_t each = free / std::max<size_t>(disks, 1);
    say(
        fmt::format("{}: {} free in the file system of {} for what {} at once write meanwhile, {} "
                    "for each of {}",
                    host.facts.hostname, about_bytes(free), room.directory,
                    counted(at_once, "guest"), about_bytes(each), counted(disks, "disk")));
    if (each < kComfort) {
      say(fmt::format("warning: {}: that is little; make room, or lower jobs_per_host",
                      host.facts.hostname));
    }
  }

  void sharing(const HostSurvey& host) {
    std::map<std::string, size_t> users;
    for (const SurveyedGuest& guest : host.guests) {
      for (const std::string& path : guest.backing) {
        ++users[path];
      }
    }
    for (const auto& [path, count] : users) {
      if (count > 1) {
        say(fmt::format(
            "{}: {} is below the disks of {}, and each of them gets its own copy of "
            "that data{}",
            host.facts.hostname, path, counted(count, "guest"), saved(host, path, count)));
      }
    }
  }

  /// What sharing one copy would save, at most: guests may have written over some of it.
  std::string saved(const HostSurvey& host, const std::string& path, size_t count) {
    if (!host.facts.local) {
      return "; how much that is, is not known from here";
    }
    try {
      const uint64_t bytes = storage_.file_allocation(path);
      return fmt::format("; sharing one (base = ..., see vmferry-bases(1)) would save {} at most",
                         about_bytes(bytes * static_cast<uint64_t>(count - 1)));
    } catch (const Error& error) {
      return std::string("; how much that is, cannot be told: ") + error.what();
    }
  }

  const std::vector<HostSurvey>& hosts_;
  MigrationStorage& storage_;
  FleetSurvey& survey_;
  const FleetPlan& plan_;
};

}  // namespace

void add_sums(const std::vector<HostSurvey>& hosts, MigrationStorage& storage,
              FleetSurvey& survey) {
  SumMaker(hosts, storage, survey).make();
}

}  // namespace vmferry::fleet
