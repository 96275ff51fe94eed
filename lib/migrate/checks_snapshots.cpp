// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "lib/core/counted.h"
#include "lib/core/printable.h"
#include "lib/core/shell_word.h"
#include "lib/migrate/check_list.h"
#include "lib/store/rbd/rbd_admin.h"

namespace vmferry::migrate {
namespace {

using Where = DomainSnapshot::Where;

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

class SnapshotChecker {
 public:
  SnapshotChecker(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                  CheckList& checks)
      : request_(request), facts_(facts), method_(method), checks_(checks) {}

  void run() {
    if (facts_.snapshots == 0) {
      checks_.pass("snapshots", "none");
    } else {
      known();
    }
    for (const DiskFacts& disk : facts_.disks) {
      left_inside(disk);
      moving(disk);
    }
  }

 private:
  /// Those that libvirt knows of.
  void known() {
    const std::string name = "snapshots";
    const std::string domain = shell_word(request_.domain);
    if (!request_.takes_history()) {
      return checks_.fail(
          name,
          "the domain has " + counted(facts_.snapshots, "snapshot") + "; their disks would be lost",
          "move them along while it is shut off: --mode offline with --snapshots, or with "
          "--chain-as-snapshots where each lies in a file of its own; or delete them (virsh "
          "snapshot-delete)");
    }
    if (is_live(method_)) {
      return checks_.fail(name,
                          "the domain has " + counted(facts_.snapshots, "snapshot") +
                              ", which move only while it is shut off",
                          "move it with --mode offline, or delete them (virsh snapshot-delete)");
    }
    if (!facts_.snapshots_read.ok()) {
      return checks_.fail(name, facts_.snapshots_read.failure,
                          "see what libvirt knows: virsh snapshot-list " + domain);
    }
    bool all_move = true;
    for (const DomainSnapshot& snapshot : facts_.known_snapshots) {
      all_move = moves(snapshot) && all_move;
    }
    if (all_move) {
      checks_.pass(name, fmt::format("{}: what libvirt knows of them is saved beside the journal "
                                     "and taken from libvirt",
                                     facts_.known_snapshots.size()));
    }
  }

  bool moves(const DomainSnapshot& snapshot) {
    const std::string name = "snapshot " + snapshot.name;
    std::string why;
    std::vector<std::string> stay;
    for (const DomainSnapshot::Disk& disk : snapshot.disks) {
      const DiskFacts* moving = find(disk.dev);
      if (moving == nullptr) {
        stay.push_back(disk.dev);
      } else if (why.empty()) {
        why = why_not(snapshot, disk, *moving);
      }
    }
    if (why.empty() && stay.size() == snapshot.disks.size()) {
      why = snapshot.memory_file.empty()
                ? "it holds the state of no disk that moves"
                : "it holds the machine's memory only, in " + snapshot.memory_file +
                      ", which fits no other disks than those of now";
    }
    if (!why.empty()) {
      checks_.fail(name, why,
                   fmt::format("delete it (virsh snapshot-delete {0} {1}), or only what libvirt "
                               "knows of it (virsh snapshot-delete {0} {1} --metadata)",
                               shell_word(request_.domain), shell_word(snapshot.name)));
      return false;
    }
    if (!stay.empty()) {
      checks_.warn(name,
                   fmt::format("it is also of {}, which do not move: libvirt will not return "
                               "them to it any more",
                               fmt::join(stay, ", ")),
                   "what is inside of an image, 'qemu-img snapshot -a' returns to");
    }
    if (snapshot.memory != Where::kNowhere) {
      lost_memory(name);
    }
    return true;
  }

  void lost_memory(const std::string& name) {
    checks_.warn(name, "the machine's memory in it is lost: a guest that returns to it boots anew");
  }

  /// Why this state of a disk cannot be taken along; empty: it can.
  std::string why_not(const DomainSnapshot& snapshot, const DomainSnapshot::Disk& then,
                      const DiskFacts& disk) const {
    const std::string& dev = then.dev;
    if (request_.chain_as_snapshots && then.state != Where::kBeside) {
      return fmt::format(
          "that of {} is inside of its image, which --snapshots moves, not "
          "--chain-as-snapshots",
          dev);
    }
    if (request_.snapshots && then.state != Where::kInside) {
      return fmt::format(
          "that of {} is {}, not inside of its image: --chain-as-snapshots moves "
          "such ones, if all are",
          dev, then.image.display());
    }
    if (request_.chain_as_snapshots) {
      return contains(disk.parts.backing, then.image.path)
                 ? std::string()
                 : fmt::format("that of {} is {}, which is not below the image of now", dev,
                               then.image.display());
    }
    if (then.image.display() != disk.move.original) {
      return fmt::format("that of {} is in {}, which is not its image any more", dev,
                         then.image.display());
    }
    return contains(disk.parts.snapshots, printable(snapshot.name))
               ? std::string()
               : fmt::format("libvirt knows of it, but it is not in the image of {}", dev);
  }

  const DiskFacts* find(const std::string& dev) const {
    const auto found = std::find_if(facts_.disks.begin(), facts_.disks.end(),
                                    [&](const DiskFacts& disk) { return disk.move.dev == dev; });
    return found == facts_.disks.end() ? nullptr : &*found;
  }

  /// What a volume can hold, but nobody copies from under a running guest.
  void moving(const DiskFacts& disk) {
    const bool layers = request_.chain_as_snapshots;
    const size_t count = layers               ? disk.parts.backing.size()
                         : request_.snapshots ? disk.parts.snapshots.size()
                                              : 0;
    if (count == 0) {
      return;
    }
    const std::string name = (layers ? "layers of " : "snapshots in ") + disk.move.dev;
    const bool by_snapshots = facts_.warm.kind != RunKind::kMove && disk.move.image.volume;
    if (is_live(method_) && !by_snapshots) {
      checks_.fail(name, "they are copied while the guest is shut off only",
                   std::string("move it with --mode offline, or leave them where they are: "
                               "without ") +
                       (layers ? "--chain-as-snapshots" : "--snapshots"));
      return;
    }
    if (count > kMostRbdSnapshots) {
      checks_.fail(
          name,
          fmt::format("there are {}, and a volume can have {} snapshots", count, kMostRbdSnapshots),
          "copy some of them: vmferry convert --snapshots NAME,...");
      return;
    }
    checks_.pass(name, fmt::format("{} become snapshots of {}", count, disk.move.volume.display()));
    for (const std::string& one : disk.parts.memories) {
      const auto is_known = [&](const DomainSnapshot& snapshot) {
        return printable(snapshot.name) == one;
      };
      // Of those that libvirt knows it was said.
      if (!layers &&
          std::none_of(facts_.known_snapshots.begin(), facts_.known_snapshots.end(), is_known)) {
        lost_memory(fmt::format("snapshot {} in {}", one, disk.move.dev));
      }
    }
  }

  /// What a raw volume cannot hold, or was not asked to.
  void left_inside(const DiskFacts& disk) {
    const std::vector<std::string> left =
        request_.snapshots ? std::vector<std::string>() : disk.parts.snapshots;
    for (const auto& [what, names] :
         {std::pair{"snapshot", left}, std::pair{"bitmap", disk.parts.bitmaps}}) {
      if (!names.empty()) {
        checks_.warn(
            fmt::format("{}s in {}", what, disk.move.dev),
            fmt::format("the image holds {} (\"{}\"{}), which {} not move{}",
                        counted(names.size(), what), names.front(),
                        names.size() == 1 ? "" : ", ...", names.size() == 1 ? "does" : "do",
                        request_.delete_source && disk.source_stays.empty()
                            ? ", and will be deleted with it"
                            : ", and will stay in it"),
            "they are listed by: vmferry info " + shell_word(disk.move.image.display()));
      }
    }
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  const CopyMethod method_;
  CheckList& checks_;
};

}  // namespace

void check_snapshots(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                     CheckList& checks) {
  SnapshotChecker(request, facts, method, checks).run();
}

}  // namespace vmferry::migrate
