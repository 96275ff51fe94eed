// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/fleet_clean.h"

#include <fmt/format.h>

#include <optional>

#include "lib/fleet/migrate_run.h"
#include "lib/fleet/moves.h"
#include "lib/fleet/place.h"
#include "lib/migrate/needs.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

std::string age_text(int64_t seconds) {
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 60 * kMinute;
  constexpr int64_t kDay = 24 * kHour;
  return seconds < 2 * kMinute ? fmt::format("{} s", seconds)
         : seconds < 2 * kHour ? fmt::format("{} min", seconds / kMinute)
         : seconds < 2 * kDay  ? fmt::format("{} h", seconds / kHour)
                               : fmt::format("{} days", seconds / kDay);
}

/// The questions about one old disk, in the order in which they are asked. Each answers why it
/// stays; empty: nothing is against it.
class Judge {
 public:
  Judge(const FleetOldDisk& old, const FleetCleaning& cleaning) : old_(old), cleaning_(cleaning) {}

  OldDiskVerdict verdict() const {
    if (!old_.disk.old) {
      return stays("the record of its move does not tell which file it was: remove it by hand");
    }
    if (!is_recorded_here()) {
      return stays("no record in " + cleaning_.state_dir +
                   " says that it moved: remove it by hand");
    }
    const std::optional<FileLook> look = cleaning_.storage->look(old_.disk.old->path);
    if (!look) {
      return {.fate = OldDiskFate::kGone, .why = {}};
    }
    if (const std::string why = file(*look); !why.empty()) {
      return stays(why);
    }
    const int64_t age = cleaning_.now() - old_.moved;
    if (age < cleaning_.older_than.count()) {
      return {.fate = OldDiskFate::kTooEarly,
              .why = fmt::format("its guest moved {} ago", age_text(age))};
    }
    std::string why = guest();
    if (why.empty()) {
      why = needs(*look);
    }
    return why.empty() ? OldDiskVerdict{.fate = OldDiskFate::kMayGo, .why = {}} : stays(why);
  }

 private:
  static OldDiskVerdict stays(std::string why) {
    return {.fate = OldDiskFate::kStays, .why = std::move(why)};
  }

  bool is_recorded_here() const {
    for (const std::string& record : records_since(old_.job, cleaning_.state_dir, 0)) {
      for (const FleetMovedDisk& disk : move_of(record).disks) {
        if (disk.dev == old_.disk.dev && disk.old == old_.disk.old) {
          return true;
        }
      }
    }
    return false;
  }

  std::string file(const FileLook& look) const {
    const OldFile& recorded = *old_.disk.old;
    DiskImage declared;
    declared.format = recorded.format;
    const std::optional<ImageFormat> format = migrate::format_of(declared);
    if (!format || recorded.format.empty()) {
      return "its format is not known here: " + recorded.format;
    }
    HostImage image;
    image.path = recorded.path;
    image.format = *format;
    image.identity = recorded.identity;
    if (std::string why = migrate::why_file_stays(image, look); !why.empty()) {
      return why;
    }
    if (look.shared) {
      return "its file system is one that other hosts mount, too: whether they need it cannot be "
             "asked here";
    }
    return recorded.is(look) ? "" : "it was written to since the move";
  }

  std::string guest() const {
    const FleetJob& job = old_.job;
    std::shared_ptr<Host> host = cleaning_.host;
    if (!job.to.empty()) {
      require_plain_uri(job);
      host = cleaning_.connect(job.to);
      if (const std::string name = host->facts().hostname; name != job.target_host) {
        return fmt::format("{} leads to {} now, not to {}", job.to, name, job.target_host);
      }
    }
    const std::string where = job.to.empty() ? job.host : job.target_host;
    const std::string name = host->name_of_uuid(job.uuid);
    if (name.empty()) {
      return fmt::format("its guest is not defined on {} any more", where);
    }
    const std::shared_ptr<Guest> found = host->guest(name);
    if (found->state() != DomainState::kRunning) {
      return fmt::format("its guest does not run on {}", where);
    }
    for (const DefinitionKind kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
      const Domain domain = parse_domain(found->definition(kind), "domain " + name);
      const DomainDisk* disk = domain.find_disk(old_.disk.dev);
      if (disk == nullptr || disk->image.display() != old_.disk.to) {
        return fmt::format("its guest has {} for {}, not {}",
                           disk == nullptr ? "nothing" : disk->image.display(), old_.disk.dev,
                           old_.disk.to);
      }
    }
    return {};
  }

  std::string needs(const FileLook& look) const {
    const auto all = migrate::all_needs(*cleaning_.host, *cleaning_.storage);
    return migrate::who_needs(look.identity, all, [](const migrate::Need&) { return false; });
  }

  const FleetOldDisk& old_;
  const FleetCleaning& cleaning_;
};

void note(const FleetPlace& place, const FleetOldDisk& old, OldDiskState state, int64_t now) {
  try {
    OpenFleet fleet(place);
    note_old_disk(fleet.ledger(), old.number, old.disk.dev, {.state = state, .when = now});
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    parts.hint = old.disk.from + " is gone all the same; 'fleet clean' notes that the next time";
    throw Error(parts);
  }
}

}  // namespace
}  // namespace fleet

std::vector<FleetOldDisk> old_disks(const FleetReport& report) {
  std::vector<FleetOldDisk> disks;
  for (size_t i = 0; i < report.moves.size(); ++i) {
    for (const FleetMovedDisk& disk : report.moves[i].disks) {
      if (disk.state == OldDiskState::kLeft) {
        const FleetJobStatus& job = report.status.jobs.at(i);
        disks.push_back({.number = job.number,
                         .job = report.plan.jobs.at(i),
                         .disk = disk,
                         .moved = job.ended});
      }
    }
  }
  return disks;
}

OldDiskVerdict judge_old_disk(const FleetOldDisk& old, const FleetCleaning& cleaning) {
  try {
    return fleet::Judge(old, cleaning).verdict();
  } catch (const Error& error) {
    return {.fate = OldDiskFate::kStays,
            .why = std::string("it cannot be found out whether it is needed: ") + error.what()};
  }
}

void remove_old_disk(const FleetPlace& place, const FleetOldDisk& old,
                     const FleetCleaning& cleaning) {
  const OldDiskVerdict verdict = judge_old_disk(old, cleaning);
  if (verdict.fate != OldDiskFate::kMayGo) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = old.disk.from,
                 .action = "remove",
                 .cause = verdict.fate == OldDiskFate::kGone ? "somebody removed it just now"
                                                             : verdict.why});
  }
  cleaning.storage->remove_old_file(*old.disk.old);
  fleet::note(place, old, OldDiskState::kRemoved, cleaning.now());
}

void note_gone_disk(const FleetPlace& place, const FleetOldDisk& old, int64_t now) {
  fleet::note(place, old, OldDiskState::kGone, now);
}

}  // namespace vmferry
