// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/core/shell_word.h"
#include "lib/migrate/check_list.h"
#include "lib/migrate/facts.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/sync_state.h"
#include "vmferry/error.h"

// What became of a warm move since its last run. A guest is a person's to work with: what is not as
// it was left stops the next run before it changes anything.

namespace vmferry::migrate {
namespace {

const SyncedDisk* synced_of(const SyncState& state, const std::string& dev) {
  const auto found = std::find_if(state.disks.begin(), state.disks.end(),
                                  [&](const SyncedDisk& disk) { return disk.dev == dev; });
  return found == state.disks.end() ? nullptr : &*found;
}

class WarmLooker : private CheckList {
 public:
  WarmLooker(const SyncState& state, MigrationStorage& storage, std::string give_up)
      : state_(state), storage_(storage), give_up_(std::move(give_up)) {}

  /// Of a move that is given up: of a guest on volumes, nothing is put back.
  std::vector<Check> to_stop(const Domain& live, const HostFacts& host) {
    identity(live, host);
    for (const SyncedDisk& disk : state_.disks) {
      if (!disk.image.volume) {
        layers(disk, live);
      }
    }
    return take();
  }

  std::vector<Check> machine(const Domain& live, const HostFacts& host) {
    identity(live, host);
    for (const SyncedDisk& disk : state_.disks) {
      if (disk.image.volume) {
        old_volume(disk, live);
      } else {
        layers(disk, live);
      }
    }
    return take();
  }

  /// `as_marked`: they hold nothing newer than their snapshots, or the guest would see that.
  std::vector<Check> volumes(bool as_marked) {
    for (const SyncedDisk& disk : state_.disks) {
      try {
        volume(disk, as_marked);
      } catch (const Error& error) {
        pass_on_cancelled(error);
        fail("volume " + disk.volume.display(), error.what(), error.hint());
      }
    }
    return take();
  }

  /// Of the disks as they are now: a volume is made of one size.
  std::vector<Check> sizes(const std::vector<DiskFacts>& disks) {
    for (const DiskFacts& disk : disks) {
      const SyncedDisk* synced = synced_of(state_, disk.move.dev);
      if (synced != nullptr && disk.move.size != 0 && disk.move.size != synced->size) {
        fail("disk " + disk.move.dev,
             fmt::format("it has {} bytes now, and had {} at the last sync: it was resized",
                         disk.move.size, synced->size),
             give_up_);
      }
    }
    return take();
  }

 private:
  void identity(const Domain& live, const HostFacts& host) {
    if (live.uuid != state_.uuid) {
      fail("warm move",
           fmt::format("{} is another machine now: its UUID is {}, and was {}", live.name,
                       live.uuid, state_.uuid),
           "give that one another name");
    } else if (host.hostname != state_.host.hostname && host.uuid != state_.host.uuid) {
      fail("warm move",
           fmt::format("it began on {}, and this is {}", state_.host.hostname, host.hostname),
           "name that host with --connect");
    } else {
      pass("warm move", fmt::format("sync {} is the last one", state_.last().number));
    }
  }

  void layers(const SyncedDisk& disk, const Domain& live) {
    chain(disk, live);
    file(disk.dev, disk.overlay, disk.overlay_identity);
    file(disk.dev, disk.image.path, disk.image.identity);
  }

  void chain(const SyncedDisk& disk, const Domain& live) {
    const std::string name = "chain of " + disk.dev;
    const DomainDisk* found = live.find_disk(disk.dev);
    if (found == nullptr) {
      return fail(name, "it was taken from the machine",
                  "put it back with its overlay " + disk.overlay + "; or " + give_up_);
    }
    std::string is = found->image.display();
    for (const DiskImage& below : found->backing) {
      is += ", over " + below.display();
    }
    const bool is_on_it = found->image.path == disk.overlay;
    const bool is_over_it = found->backing.empty() ||
                            found->backing.front().path == disk.image.path ||
                            found->backing.front().display() == disk.original;
    if (is_on_it && is_over_it && disk.layer.empty()) {
      return pass(name, is);
    }
    if (is_on_it && !disk.layer.empty()) {
      return fail(name,
                  disk.layer +
                      " was left between them by a run that did not end, whose "
                      "journal is gone",
                  give_up_);
    }
    fail(name,
         fmt::format("it is on {}, and the last sync left it on {}, over {}", is, disk.overlay,
                     disk.original),
         "a snapshot was taken, or it was committed or reverted: undo that; or " + give_up_);
  }

  void old_volume(const SyncedDisk& disk, const Domain& live) {
    const std::string name = "disk " + disk.dev;
    const DomainDisk* found = live.find_disk(disk.dev);
    if (found == nullptr || found->image.display() != disk.original) {
      return fail(name,
                  fmt::format("it is on {}, and was on {} at the last sync",
                              found == nullptr ? "nothing" : found->image.display(), disk.original),
                  "put it back there; or " + give_up_);
    }
    try {
      const ImageParts parts = storage_.image_parts(disk.image);
      const std::string mark = sync_mark(state_.last().number);
      if (parts.files.front() != disk.image.identity) {
        return fail(name, "another volume has the name " + disk.original + " now", give_up_);
      }
      if (std::find(parts.snapshots.begin(), parts.snapshots.end(), mark) ==
          parts.snapshots.end()) {
        return fail(name,
                    fmt::format("{} has no snapshot {} any more, which tells what is new in it",
                                disk.original, mark),
                    give_up_);
      }
      pass(name, "it is on " + disk.original);
    } catch (const Error& error) {
      pass_on_cancelled(error);
      fail(name, error.what(), error.hint());
    }
  }

  void file(const std::string& dev, const std::string& path, const std::string& identity) {
    if (identity.empty()) {
      return;
    }
    const std::optional<FileLook> look = storage_.look(path);
    if (!look || look->identity != identity) {
      fail("chain of " + dev,
           path + (look ? " is another file than at the last sync" : " is not there any more"),
           "put that one back under its name; or " + give_up_);
    }
  }

  void volume(const SyncedDisk& disk, bool as_marked) {
    const std::string name = "volume " + disk.volume.display();
    const std::string mark = sync_mark(state_.last().number);
    const std::string identity = storage_.identity(disk.volume);
    if (identity != disk.volume_identity) {
      return fail(name, identity.empty() ? "it is gone" : "another volume has its name now",
                  give_up_);
    }
    const std::vector<std::string> marks = storage_.marks(disk.volume);
    if (std::find(marks.begin(), marks.end(), mark) == marks.end()) {
      return fail(name, "it has no snapshot " + mark + " any more", give_up_);
    }
    if (as_marked && !storage_.is_as_marked(disk.volume, mark)) {
      return fail(name, "it was written to since its snapshot " + mark,
                  "synchronise it again: what is not the guest's is written over then");
    }
    pass(name, "it is there, with its snapshot " + mark);
  }

  const SyncState& state_;
  MigrationStorage& storage_;
  const std::string give_up_;
};

/// What a warm move does not do, where it was asked for.
void refuse_unfit(const MigrateRequest& request, RunKind kind, CheckList& checks) {
  const auto refuse = [&](bool asked, const std::string& what, const std::string& hint) {
    if (asked) {
      checks.fail("warm move", what, hint);
    }
  };
  const std::string instead = "leave it out, or use vmferry migrate";
  refuse(kind == RunKind::kSync && request.to_other_host(),
         "a sync leaves the guest on its host: --to is of no use",
         "name the other host when it is cut over: vmferry cutover --to");
  refuse(request.to_files(), "it goes to volumes: --to-dir is of no use", instead);
  refuse(!request.bases.empty(), "its volumes share no base: --base is of no use", instead);
  refuse(request.chain_as_snapshots, "it takes no layers along as snapshots", instead);
  refuse(request.rewrite_only, "--rewrite-only copies nothing", instead);
  refuse(request.method == MigrateMethod::kMirror, "QEMU's mirror keeps nothing between two syncs",
         "leave --method out");
}

void add_what_is_below(const SyncState& state, MigrationStorage& storage, DiskFacts& disk) {
  const SyncedDisk* const synced = synced_of(state, disk.move.dev);
  if (synced == nullptr) {
    return;
  }
  MovingDisk& move = disk.move;
  move.first = synced->original;
  move.first_image = synced->image;
  move.volume = synced->volume;
  if (move.image.volume) {
    move.image.identity = synced->image.identity;
    // The warm move's own are nobody's to miss, and go with it.
    std::erase_if(disk.parts.snapshots,
                  [](const std::string& name) { return round_of(name) != 0; });
    return;
  }
  move.image.backing = synced->image.backing;
  move.image.backing.insert(move.image.backing.begin(), synced->image.path);
  move.image.chain_known = synced->image.chain_known;
  if (disk.look) {
    move.data = storage.file_allocation(move.image.path);
  }
}

bool is_on_volume(const DiskFacts& disk) { return disk.move.image.volume.has_value(); }

/// What a sync cannot do with disks on files, or with both kinds.
void look_at_kinds(const MigrateRequest& request, const Facts& facts, CheckList& checks) {
  const auto volumes = std::count_if(facts.disks.begin(), facts.disks.end(), is_on_volume);
  if (volumes != 0 && volumes != std::ssize(facts.disks)) {
    checks.fail("warm move", "some of its disks are on RBD and others are not",
                "name those of one kind with --disk; the others move afterwards");
  } else if (volumes == 0 && request.snapshots) {
    checks.fail("warm move", "snapshots inside of images go along only while the guest is off",
                "leave --snapshots out, or use vmferry migrate --mode offline");
  }
}

/// Of a first sync.
void refuse_others_marks(const DiskFacts& disk, CheckList& checks) {
  for (const std::string& name : disk.parts.snapshots) {
    if (round_of(name) != 0) {
      checks.fail("disk " + disk.move.dev,
                  fmt::format("{} has the snapshot {} already, which is of another warm move",
                              disk.move.original, name),
                  "if nobody needs it, remove it: rbd snap rm " +
                      shell_word(disk.move.image.volume->ceph_name() + "@" + name));
    }
  }
}

}  // namespace

std::string warm_command(const std::string& command, const std::string& domain,
                         const std::string& state_dir) {
  return "vmferry " + command + " " + shell_word(domain) +
         (state_dir == default_state_dir() ? "" : " --state-dir " + shell_word(state_dir));
}

std::vector<Check> check_may_stop(const SyncState& state, const Domain& live, const HostFacts& host,
                                  MigrationStorage& storage) {
  return WarmLooker(state, storage,
                    "give the warm move up (vmferry sync --stop), and begin it anew")
      .to_stop(live, host);
}

void gather_warm(const MigrateRequest& request, const MigrateContext& context, Facts& facts) {
  CheckList checks;
  WarmRun& warm = facts.warm;
  if (warm.kind == RunKind::kMove) {
    if (facts.run_there) {
      return;  // that host has it
    }
    const Trial read =
        attempt([&] { warm.state = read_sync_state(request.domain, context.state_dir); });
    if (!read.ok()) {
      checks.fail("warm move", read.failure, read.hint);
    } else if (warm.state) {
      checks.fail(
          "warm move",
          fmt::format("{} is in one, whose last sync is {}", request.domain,
                      warm.state->last().number),
          "finish it: " + warm_command("cutover", request.domain, context.state_dir) +
              "; or give it up: " + warm_command("sync --stop", request.domain, context.state_dir));
    }
    facts.warm_checks = checks.take();
    return;
  }
  refuse_unfit(request, warm.kind, checks);
  look_at_kinds(request, facts, checks);
  for (const DiskFacts& disk : facts.disks) {
    if (!warm.state && is_on_volume(disk)) {
      refuse_others_marks(disk, checks);
    }
  }
  facts.warm_checks = checks.take();
  if (!warm.state) {
    return;
  }
  for (DiskFacts& disk : facts.disks) {
    add_what_is_below(*warm.state, *context.storage, disk);
  }
  const std::string give_up = "give the warm move up (" +
                              warm_command("sync --stop", request.domain, context.state_dir) +
                              "), and begin it anew";
  WarmLooker looker(*warm.state, *context.storage, give_up);
  const auto add = [&facts](std::vector<Check> found) {
    std::move(found.begin(), found.end(), std::back_inserter(facts.warm_checks));
  };
  add(looker.machine(facts.live, facts.source));
  add(looker.sizes(facts.disks));
  // From files, a live cutover begins where the staged way has copied.
  const bool as_marked = warm.kind == RunKind::kCutover && !warm.before_sync &&
                         request.mode == MigrateMode::kLive &&
                         std::none_of(facts.disks.begin(), facts.disks.end(), is_on_volume);
  add(looker.volumes(as_marked));
}

}  // namespace vmferry::migrate
