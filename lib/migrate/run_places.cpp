// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/core/shell_word.h"
#include "lib/migrate/run.h"
#include "vmferry/error.h"

// Where the disks are, against where this move has brought them: people change definitions, and
// unplug disks and plug them in again, while it goes on.

namespace vmferry::migrate {

void Run::require_same_machine() const {
  require_same_machine(source_, plan_.source_host, "--connect");
  if (target_is_known()) {
    require_same_machine(target_, plan_.target_host, "--to");
  }
}

void Run::require_same_machine(const Machine& machine, const HostIdentity& host,
                               const std::string& option) const {
  const std::string action = "go on with the move";
  const HostFacts facts = machine.host().facts();
  if (!host.hostname.empty() && facts.hostname != host.hostname && facts.uuid != host.uuid) {
    fail(ErrorKind::kConflict, machine.name(), action,
         "the run was on " + host.hostname + ", and " + facts.uri + " is " + facts.hostname,
         "name that host with " + option);
  }
  const std::string uuid = machine.guest().uuid();
  if (!uuid.empty() && uuid != plan_.uuid) {
    fail(ErrorKind::kConflict, machine.name(), action,
         "another machine has that name on " + facts.uri + " now: its UUID is " + uuid +
             ", and that of the run's is " + plan_.uuid,
         "rename that one (virsh domrename), and try again");
  }
  const std::string name = uuid.empty() ? machine.host().name_of_uuid(plan_.uuid) : "";
  if (!name.empty()) {
    fail(ErrorKind::kConflict, machine.name(), action, "its name is " + name + " now",
         "give it its name back while it is off: virsh domrename " + shell_word(name) + " " +
             shell_word(machine.name()));
  }
}

Place Run::reached(const MovingDisk& disk) const {
  switch (plan_.method) {
    case CopyMethod::kOffline:
      return journal_.noted(kStarted) && !plan_.request.to_other_host() ? Place::kTarget
                                                                        : Place::kOriginal;
    case CopyMethod::kMirrored:
      return journal_.noted(switched(disk)) ? Place::kTarget : Place::kOriginal;
    case CopyMethod::kStaged:
      return reached_in_stages(disk);
  }
  return Place::kOriginal;
}

Place Run::reached_in_stages(const MovingDisk& disk) const {
  if (journal_.noted(committed(disk))) {
    return Place::kTarget;
  }
  if (journal_.noted(switched(disk))) {
    return Place::kBridge;
  }
  const bool returned = journal_.noted(returning(disk)) || !journal_.noted(kFrozen);
  // After a death in the middle of the snapshot the guest may have run on the overlay.
  if (!returned && (journal_.noted(kOverlaid) || was_written(disk.overlay, disk.size))) {
    return Place::kOverlay;
  }
  return Place::kOriginal;
}

bool Run::was_written(const std::string& overlay, uint64_t size) const {
  // An empty qcow2 has a header, a table and a block of reference counts, and an L1 table with 8
  // bytes for each 512 MiB.
  const uint64_t empty = (4 << 16) + (size >> 26);
  return context_.storage->file_exists(overlay) &&
         context_.storage->file_allocation(overlay) > empty;
}

void Run::require_known_places() {
  const Machine& machine = present_machine();
  if (machine.state() == DomainState::kAbsent) {
    return;
  }
  // Inside an overlay they go with it.
  if (journal_.noted(kFrozen) && machine.guest().snapshots() != 0) {
    fail(ErrorKind::kConflict, machine.name(), "go on",
         "a snapshot of it was taken meanwhile, which the move would lose",
         "delete it (virsh snapshot-list, snapshot-delete), then: " + recovery());
  }
  const Domain now = machine.definition();
  for (const MovingDisk& disk : plan_.disks) {
    const DomainDisk* found = now.find_disk(disk.dev);
    const bool is_let_go = plan_.kind == RunKind::kStop && disk.image.volume;
    if (!found || is_let_go) {
      continue;
    }
    const Place place = machine.place_of(found->image, disk);
    if (place == Place::kElsewhere || place < reached(disk)) {
      fail_out_of_place(machine, disk, found->image, place);
    }
  }
}

Place Run::require_from(const MovingDisk& disk, Place first) {
  const Domain now = source_.definition();
  const DomainDisk* found = now.find_disk(disk.dev);
  if (!found) {
    fail(ErrorKind::kNotFound, source_.name(), "go on with " + disk.dev,
         "it was taken from the machine");
  }
  const Place place = source_.place_of(found->image, disk);
  if (place == Place::kElsewhere || place < std::max(first, reached(disk))) {
    fail_out_of_place(source_, disk, found->image, place);
  }
  return place;
}

void Run::fail_out_of_place(const Machine& machine, const MovingDisk& disk, const DiskImage& image,
                            Place place) {
  const std::string action = "go on with " + disk.dev;
  const std::string name = shell_word(machine.name());
  if (place == Place::kElsewhere) {
    fail(ErrorKind::kConflict, machine.name(), action,
         "it is on " + image.display() +
             " now, which this move did not make: a snapshot of it was taken, or it was "
             "changed",
         "end that first (a backup's overlay, while it runs: virsh blockcommit " + name + " " +
             disk.dev + " --shallow --active --pivot), then: " + recovery());
  }
  try {
    source_.abort_job(disk);  // one begun just then would keep it from being detached
  } catch (const Error&) {
    // libvirt says so to whoever tries.
  }
  fail(ErrorKind::kConflict, machine.name(), action,
       "it is on " + image.display() +
           " again, though this move had brought it further: what the "
           "guest wrote since is in " +
           where_data_is(disk),
       "put the disk back on that image; or, to do without what is in there, take the disk from "
       "the machine (virsh detach-disk " +
           name + " " + disk.dev +
           " --config, and --live if it runs): it leaves the move then, and nothing of it is "
           "removed. After that: " +
           recovery());
}

void Run::require_unnamed(const std::string& file) const {
  if (source_.state() == DomainState::kAbsent) {
    return;
  }
  const auto is_it = [&file](const DiskImage& image) { return image.path == file; };
  const auto require_in = [&](const Domain& domain) {
    for (const DomainDisk& disk : domain.disks) {
      if (is_it(disk.image) || std::any_of(disk.backing.begin(), disk.backing.end(), is_it)) {
        fail(ErrorKind::kConflict, source_.name(), "remove " + file,
             "its disk " + disk.target + " is on it, or on an image over it");
      }
    }
  };
  if (source_.active()) {
    require_in(source_.definition(DefinitionKind::kLive));
  }
  require_in(source_.definition(DefinitionKind::kPersistent));
}

void Run::require_unused(const MovingDisk& disk) const {
  for (const DefinitionKind kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
    if (source_.place(disk, kind) == Place::kTarget) {
      fail(ErrorKind::kConflict, source_.name(), "remove " + goal(disk),
           "the machine has it as its disk " + disk.dev + " already",
           "leave --remove-volumes out; or take it from the machine first");
    }
  }
}

void Run::require_before_copy(const MovingDisk& disk) const {
  const std::string action = "remove the copy of " + disk.dev;
  const auto require_in = [&](const Domain& domain) {
    if (!domain.find_disk(disk.dev)) {
      return;
    }
    const Place place = source_.place_in(domain, disk);
    if (place != Place::kOriginal && place != Place::kOverlay) {
      fail(ErrorKind::kConflict, source_.name(), action,
           "a definition names it, or an image that may be over it");
    }
  };
  if (source_.active()) {
    require_in(source_.definition(DefinitionKind::kLive));
  }
  require_in(source_.definition(DefinitionKind::kPersistent));
  if (plan_.request.to_other_host() && target_.state() != DomainState::kAbsent &&
      target_.place(disk, DefinitionKind::kPersistent) == Place::kTarget) {
    fail_divided(action);
  }
}

}  // namespace vmferry::migrate
