// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/run.h"

namespace vmferry::migrate {

std::string Run::with_new_disks(const Domain& domain, const DriverOptions& driver) const {
  std::vector<DiskMove> moves;
  for (const MovingDisk& disk : plan_.disks) {
    if (domain.find_disk(disk.dev)) {  // else somebody took it out of this definition
      moves.push_back({.disk = disk.dev, .to = new_place(disk), .driver = driver});
    }
  }
  return rewrite_moved_disks(domain, moves);
}

std::string Run::with_old_disks(const Domain& domain) const {
  std::vector<std::string> targets;
  for (const MovingDisk& disk : plan_.disks) {
    targets.push_back(disk.dev);
  }
  return restore_disks(domain, parse_domain(plan_.original_persistent, "the old definition"),
                       targets);
}

std::string Run::definition_to_send() {
  const Domain stored = source_.definition(DefinitionKind::kMigratablePersistent);
  warn_of_replaced(source_, stored);
  journal_.record(kSent, stored.text);
  return with_new_disks(stored);
}

std::optional<std::string> Run::misplaced(const Machine& machine, DefinitionKind kind) const {
  const Domain domain = machine.definition(kind);
  const bool stored = kind == DefinitionKind::kPersistent;
  bool placed = plan_.disks.empty();
  for (const MovingDisk& disk : plan_.disks) {
    // One that was taken out of the stored definition only has no place there.
    if (stored && !domain.find_disk(disk.dev)) {
      continue;
    }
    if (machine.place_in(domain, disk) != Place::kTarget) {
      return disk.dev;
    }
    placed = true;
  }
  return placed ? std::nullopt : std::optional(plan_.disks.front().dev);
}

void Run::warn_of_replaced(const Machine& machine, const Domain& stored) const {
  for (const MovingDisk& disk : plan_.disks) {
    const DomainDisk* found = stored.find_disk(disk.dev);
    if (!found || machine.place_of(found->image, disk) != Place::kElsewhere) {
      continue;
    }
    context_.observer->warning("the stored definition named " + found->image.display() + " for " +
                               disk.dev + ", which was written into it meanwhile: it names " +
                               goal(disk) + " now");
  }
}

}  // namespace vmferry::migrate
