// SPDX-License-Identifier: LGPL-2.1-or-later
#include <thread>

#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// What ends every way: definitions read back, and disks that their guest has to itself.

namespace vmferry::migrate {

void CheckDefinitions::run() {
  // A staged way to another host asks twice: before it leaves, and there.
  const Machine& machine = !is_live(plan_.method) || run_.arrived() ? target_ : source_;
  if (machine.active()) {
    if (const auto dev = run_.misplaced(machine, DefinitionKind::kLive)) {
      fail(ErrorKind::kIo, source_.name(), "read the live definition back",
           "disk " + *dev + " is not on " + fresh_.kind());
    }
  }
  // libvirt leaves the persistent one alone where it differed from the live one before, and never
  // changes what it says of the driver.
  const Domain stored = machine.definition(DefinitionKind::kPersistent);
  run_.warn_of_replaced(machine, stored);
  const std::string wanted = run_.with_new_disks(stored);
  if (wanted != stored.text) {
    machine.host().define(wanted);
  }
  for (const MovingDisk& disk : plan_.disks) {
    if (stored.find_disk(disk.dev) &&
        machine.place(disk, DefinitionKind::kPersistent) != Place::kTarget) {
      fail(ErrorKind::kIo, source_.name(), "read the persistent definition back",
           "disk " + disk.dev + " is not on " + fresh_.kind(),
           "the next start would use the old disk: correct it with vmferry rewrite");
    }
  }
  if (machine.active()) {
    let_discard(machine);
    see_writers(stored);
  }
  if (machine.guest().autostart() != plan_.autostart) {
    machine.guest().set_autostart(plan_.autostart);
  }
}

void CheckDefinitions::let_discard(const Machine& machine) const {
  for (const MovingDisk& disk : plan_.disks) {
    try {
      machine.guest().let_discard(disk.dev);
    } catch (const Error& error) {
      context_.observer->warning("what the guest discards on " + disk.dev +
                                 " gives back no room until its next start: " + error.what());
    }
  }
}

void CheckDefinitions::see_writers(const Domain& domain) const {
  for (const MovingDisk& disk : plan_.disks) {
    const DomainDisk* found = domain.find_disk(disk.dev);
    if (!found || found->readonly) {
      continue;
    }
    try {
      see_writer(disk);
    } catch (const Error& error) {
      context_.observer->warning("who has " + run_.goal(disk) +
                                 " open could not be found out: " + error.what());
    }
  }
}

void CheckDefinitions::see_writer(const MovingDisk& disk) const {
  // A client that was killed may hold the volume's lock: then the guest's writes wait.
  const Clock::time_point give_up = source_.now() + context_.patience.ghost;
  std::optional<size_t> writers = fresh_.writers(disk);
  while (writers > 1 && source_.now() < give_up && !context_.stop.stop_requested()) {
    std::this_thread::sleep_for(context_.patience.poll * 20);
    writers = fresh_.writers(disk);
  }
  if (!writers || writers == 1) {
    return;
  }
  const std::string status = "rbd status " + disk.volume.ceph_name();
  if (writers == 0) {
    context_.observer->warning("the guest runs, and no client has " + run_.goal(disk) +
                               " open: look at 'virsh domblkerror' and '" + status + "'");
  } else {
    context_.observer->warning(run_.goal(disk) +
                               " is open in another client as well: if the guest's " + disk.dev +
                               " takes no writes, end that one; it is shown by: " + status);
  }
}

}  // namespace vmferry::migrate
