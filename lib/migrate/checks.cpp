// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "lib/core/format_bytes.h"
#include "lib/core/shell_word.h"
#include "lib/migrate/check_list.h"
#include "lib/migrate/facts.h"

// What must hold before the first byte moves. No I/O here: everything was gathered.

namespace vmferry::migrate {
namespace {

bool is_same_uuid(const std::string& one, const std::string& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

class Checker : private CheckList {
 public:
  Checker(const MigrateRequest& request, const Facts& facts, CopyMethod method)
      : request_(request), facts_(facts), method_(method) {}

  std::vector<Check> run() {
    hosts();
    for (const Check& check : facts_.warm_checks) {
      add(check);
    }
    state();
    check_snapshots(request_, facts_, method_, *this);
    blockers();
    disks();
    old_disks();
    if (request_.to_other_host()) {
      check_leaving(request_, facts_, method_, *this);
    }
    check_cluster(request_, facts_, method_, *this);
    names();
    if (method_ == CopyMethod::kStaged && !facts_.run_there) {
      check_overlays(request_, facts_, *this);
    }
    if (request_.to_files()) {
      check_files(request_, facts_, method_, *this);
    }
    definitions();
    return take();
  }

 private:
  static std::string version(unsigned long number) {
    return fmt::format("{}.{}.{}", number / 1000000, number / 1000 % 1000, number % 1000);
  }

  void hosts() {
    const auto describe = [](const HostFacts& host) {
      return fmt::format("{}: libvirt {}, QEMU {}", host.hostname, version(host.libvirt),
                         version(host.hypervisor));
    };
    pass("source host", describe(facts_.source));
    if (request_.to_other_host()) {
      if (facts_.source.uuid == facts_.target.uuid && !facts_.source.uuid.empty()) {
        fail("target host", "source and target are the same host: " + facts_.target.hostname,
             "leave --to out to move the disks only");
      } else if (facts_.source.hostname == facts_.target.hostname) {
        fail("target host", "both hosts call themselves " + facts_.target.hostname,
             "libvirt refuses a migration between hosts of one name: rename one");
      } else {
        pass("target host", describe(facts_.target));
      }
    }
    if (!facts_.source.local && !facts_.run_there) {
      where_it_runs();
    }
    rbd_driver("QEMU's rbd driver at the source", facts_.source.rbd_driver,
               method_ == CopyMethod::kStaged || !request_.to_other_host());
    if (request_.to_other_host()) {
      rbd_driver("QEMU's rbd driver at the target", facts_.target.rbd_driver, true);
    }
  }

  void where_it_runs() {
    const std::string there = fmt::format("run it there: ssh {} vmferry migrate {} ...",
                                          facts_.source.hostname, shell_word(request_.domain));
    if (request_.to_files()) {
      fail("where it runs",
           "the files are made on the host of the guest, which is " + facts_.source.hostname,
           there);
    } else if (method_ != CopyMethod::kMirrored) {
      fail("where it runs",
           "a staged or offline move reads the images themselves, and they are on " +
               facts_.source.hostname,
           there + "; or use --method mirror --to");
    }
  }

  void rbd_driver(const std::string& name, std::optional<bool> found, bool needed) {
    if (!needed || request_.to_files()) {
      return;
    }
    if (!found) {
      warn(name, "cannot be asked for from here; QEMU will tell when it opens the volume");
    } else if (*found) {
      pass(name, "installed");
    } else {
      fail(name, "not installed", "install qemu-block-extra (Debian) or qemu-block-rbd (RHEL)");
    }
  }

  void state() {
    static const char* const kNames[] = {"absent", "shut off", "running", "paused", "in between"};
    const std::string is = kNames[static_cast<int>(facts_.state)];
    if (!request_.uuid.empty() && !is_same_uuid(request_.uuid, facts_.live.uuid)) {
      fail("domain",
           fmt::format("{} is another machine than the one that was asked for: its UUID is {}, not "
                       "{}",
                       request_.domain, facts_.live.uuid, request_.uuid),
           "see 'virsh list --all --uuid --name'");
    }
    if (facts_.state == DomainState::kOther) {
      fail("state", "the domain is neither running nor shut off",
           "wait, or look at 'virsh domstate'");
    } else if (facts_.warm.kind == RunKind::kSync && facts_.state == DomainState::kShutOff) {
      fail("state", "the domain is shut off, and a sync is of one that runs",
           "start it; or move it while it is off: vmferry " +
               std::string(facts_.warm.state ? "cutover" : "migrate"));
    } else if (is_live(method_) && facts_.state == DomainState::kShutOff) {
      fail("state", "the domain is shut off; --mode live needs a running one",
           "start it, or leave --mode out");
    } else if (request_.rewrite_only && request_.mode != MigrateMode::kOffline &&
               facts_.state != DomainState::kShutOff) {
      fail("state", fmt::format("{} is {}, and its disks may change as long", request_.domain, is),
           "shut it down, or let --mode offline do it");
    } else if (request_.no_shutdown && !is_live(method_) && facts_.state != DomainState::kShutOff) {
      fail("state", fmt::format("{} is {}, and is not to be shut down", request_.domain, is),
           "shut it down, or leave --no-shutdown out (shut_down = true in the plan of a fleet)");
    } else {
      pass("state", fmt::format("{} is {}", request_.domain, is));
    }
    if (facts_.failed_to_write) {
      warn("state", "the guest is paused, as one of its writes failed",
           "make room where its disks are, then let it go on: virsh resume " +
               shell_word(request_.domain));
    }
    if (facts_.state == DomainState::kPaused && !is_live(method_) && !request_.force_off) {
      fail("state",
           fmt::format("{} is paused, and does not hear that it shall shut down", request_.domain),
           fmt::format("resume it (virsh resume {}), or allow --force-off",
                       shell_word(request_.domain)));
    }
    if (!facts_.persistent) {
      fail("definition", "the domain is transient: it has no definition to change",
           "'virsh define' it first");
    }
    if (facts_.migrating) {
      fail("jobs", "another job (a migration, save or dump) runs for this domain",
           "wait for it, or end it with 'virsh domjobabort'");
    }
    for (const DiskFacts& disk : facts_.disks) {
      if (disk.job_running) {
        fail("jobs", fmt::format("a block job runs for {}", disk.move.dev),
             fmt::format("wait for it, or end it: virsh blockjob {} {} --abort; after a run of "
                         "vmferry that was killed: {}",
                         shell_word(request_.domain), disk.move.dev, facts_.recovery));
      }
    }
    if (request_.quiesce && is_live(method_) && !facts_.agent) {
      fail("quiesce", "the guest's agent does not answer",
           "start qemu-guest-agent in the guest, or leave --quiesce out");
    }
  }

  void blockers() {
    if (!facts_.checkpoints.empty()) {
      checkpoints();
    }
    if (facts_.saved) {
      fail("saved state", "the domain's memory is saved, and belongs to its present disks",
           fmt::format("start it (or restore it from the file that it was saved to), or drop a "
                       "managed save: virsh managedsave-remove {}",
                       shell_word(request_.domain)));
    }
  }

  void checkpoints() {
    std::string commands;
    for (const std::string& name : facts_.checkpoints) {
      commands +=
          fmt::format("{}virsh checkpoint-delete {} {} --metadata", commands.empty() ? "" : "; ",
                      shell_word(request_.domain), shell_word(name));
    }
    const bool go = request_.to_other_host() && !request_.keep_source_definition;
    warn("checkpoints",
         fmt::format("{} checkpoints: a raw volume keeps no bitmaps, so the next backup is a full "
                     "one; their names {}",
                     facts_.checkpoints.size(),
                     go ? "go with the definition at the source" : "are left without them"),
         go ? "" : "remove them after the move: " + commands);
  }

  void disks() {
    if (is_all_shared()) {
      return leaves_alone();
    }
    if (!facts_.choice.ok()) {
      std::string hint = facts_.choice.hint;
      for (const std::string& stays : facts_.stays) {
        hint += (hint.empty() ? "" : "; ") + stays;
      }
      fail("disks", facts_.choice.failure, hint);
    }
    for (const DiskFacts& disk : facts_.disks) {
      if (!disk.problem.ok()) {
        fail("disk " + disk.move.dev, disk.problem.failure, disk.problem.hint);
        continue;
      }
      if (is_of_another_run(disk)) {
        continue;
      }
      if (is_live(method_)) {
        stored_disk(disk);
      }
      if (method_ == CopyMethod::kMirrored && disk.move.image.volume) {
        fail("disk " + disk.move.dev, "it is on RBD, and QEMU's mirror moves only files there",
             "leave --method mirror out, and run it on the host of the guest");
        continue;
      }
      if (method_ == CopyMethod::kStaged && disk.disk.copy_on_read) {
        fail("disk " + disk.move.dev,
             "it has copy_on_read='on', with which libvirt commits no overlay",
             "move it with --method mirror or --mode offline");
        continue;
      }
      pass("disk " + disk.move.dev,
           fmt::format("{} ({} of {}) -> {}", disk.move.original, about_bytes(disk.move.data),
                       about_bytes(disk.move.size),
                       request_.to_files() ? disk.move.image.path : disk.move.volume.display()));
    }
  }

  /// Was it to go to another host, with all its disks on RBD and where they should be?
  bool is_all_shared() const {
    size_t shared = 0;
    for (const DomainDisk& disk : facts_.live.disks) {
      shared += disk.image.is_rbd();
      if (!disk.image.is_rbd() && disk.device != "cdrom" && disk.device != "floppy") {
        return false;
      }
    }
    const auto exists = [&](const auto& named) {
      return facts_.live.find_disk(named.first) != nullptr;
    };
    return shared != 0 && facts_.disks.empty() && request_.to_other_host() &&
           !request_.to_files() &&
           std::all_of(request_.disks.begin(), request_.disks.end(), exists);
  }

  void leaves_alone() {
    const bool off = facts_.state == DomainState::kShutOff;
    fail("disks", "all of them are on RBD already: the guest can go, and no disk has to",
         fmt::format("libvirt does that by itself: virsh -c {} migrate {} --persistent{} {} {}",
                     shell_word(facts_.source.uri), off ? "--offline" : "--live",
                     request_.keep_source_definition ? "" : " --undefinesource",
                     shell_word(request_.domain), shell_word(facts_.target.uri)));
  }

  /// Somebody's run, with another state directory, is under way, or was killed.
  bool is_of_another_run(const DiskFacts& disk) {
    const std::string& image = disk.move.original;
    if (facts_.warm.state || (!image.ends_with(kOverlaySuffix) && !image.ends_with(kBridgeSuffix) &&
                              image.find(kSyncOverlay) == std::string::npos)) {
      return false;
    }
    fail("disk " + disk.move.dev, image + " is of a move that has not ended",
         "end that one first (if it had another --state-dir, with that): " + facts_.recovery);
    return true;
  }

  /// What the next start uses is what the guest has now, or else the move would change it.
  void stored_disk(const DiskFacts& disk) {
    const DomainDisk* stored = facts_.stored.find_disk(disk.move.dev);
    const std::string name = "stored definition";
    if (!stored) {
      fail(name, disk.move.dev + " is not in it: only the running guest has that disk",
           "attach it there as well (virsh attach-disk --config), or name the disks to move "
           "(--disk)");
    } else if (stored->image.display() != disk.move.original) {
      fail(name,
           fmt::format("it names {} for {}, and the running guest has {}", stored->image.display(),
                       disk.move.dev, disk.move.original),
           "make them the same first: virsh edit " + shell_word(request_.domain));
    }
  }

  void old_disks() {
    if (request_.delete_source && !request_.to_files() && !facts_.source.local) {
      fail("old disks",
           "--delete-source removes files of this machine, and the images are on " +
               facts_.source.hostname,
           "leave it out, or run the move there");
    }
    for (const DiskFacts& disk : facts_.disks) {
      if (!request_.delete_source || !disk.problem.ok()) {
        continue;
      }
      const std::string name = "old disk of " + disk.move.dev;
      if (disk.source_stays.empty()) {
        pass(name, disk.move.original + " will be deleted: nothing else that " +
                       facts_.source.hostname + "'s libvirt knows needs it");
      } else {
        warn(name, disk.move.original + " will stay: " + disk.source_stays);
      }
    }
  }

  void names() {
    for (size_t i = 0; i < facts_.disks.size(); ++i) {
      const DiskFacts& disk = facts_.disks[i];
      if (!request_.to_files() && !request_.rewrite_only && disk.volume && !disk.move.first_image) {
        fail("volume " + disk.move.volume.display(), "exists already",
             "name another with --disk, or remove it: rbd rm " + disk.move.volume.ceph_name());
      }
      for (size_t j = 0; j < i; ++j) {
        if (!request_.to_files() && facts_.disks[j].move.volume == disk.move.volume) {
          fail("volume " + disk.move.volume.display(), "is named for two disks",
               "--disk DISK=rbd:POOL/IMAGE names one for each");
        }
      }
    }
  }

  void definitions() {
    if (!facts_.rewriting.ok()) {
      fail("new definition", facts_.rewriting.failure, facts_.rewriting.hint);
      return;
    }
    if (!facts_.target_takes_stored.ok()) {
      fail("new definition", facts_.target_takes_stored.failure,
           "the host that will run it does not take it");
    } else if (!facts_.target_takes_live.ok()) {
      fail("new live definition", facts_.target_takes_live.failure,
           "the host that will run it does not take it");
    } else if (!facts_.rewritten_stored.empty()) {
      pass("new definition", "the host that will run it takes it");
    }
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  const CopyMethod method_;
};

}  // namespace

std::vector<Check> make_checks(const MigrateRequest& request, const Facts& facts,
                               CopyMethod method) {
  return Checker(request, facts, method).run();
}

}  // namespace vmferry::migrate
