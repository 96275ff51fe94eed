// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "lib/core/shell_word.h"
#include "lib/migrate/check_list.h"

// Checks of a move to another host: what keeps the machine here, and what it needs there.

namespace vmferry::migrate {
namespace {

/// 7.2 was seen to lose writes of an emulated processor. What mends it ("physmem: Fix migration
/// dirty bitmap coherency with TCG memory access") is newer than 8.2, as far as is known.
constexpr unsigned long kSafeEmulation = 9'000'000;

constexpr const char* kLeftHint =
    "move it as well (--disk), put it where both hosts see it, detach it, or move the disks only "
    "(without --to)";

class LeavingChecker {
 public:
  LeavingChecker(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                 CheckList& checks)
      : request_(request), facts_(facts), method_(method), checks_(checks) {}

  void features() {
    const Domain& domain = facts_.live;
    if (domain.has_nvram && method_ == CopyMethod::kOffline) {
      checks_.fail("NVRAM", "UEFI variables are a file that an offline move does not carry",
                   "move it live, or copy the file yourself and move without --to");
    }
    if (domain.has_tpm && method_ == CopyMethod::kOffline) {
      checks_.fail("TPM", "the TPM's state is on this host and an offline move does not carry it",
                   "move it live, or move the disks only (without --to)");
    }
    if (is_live(method_) && domain.hostdev_count() != 0) {
      checks_.fail(
          "host devices",
          fmt::format("{} devices of this host are given to the guest", domain.hostdev_count()),
          "detach them, or move the disks only (without --to)");
    }
    if (is_live(method_)) {
      running();
    }
  }

  void running() {
    for (const std::string& device : facts_.live.tied_devices) {
      checks_.fail("devices", device + ": libvirt migrates no running guest with it",
                   "detach it, or move with " + offline());
    }
    for (const std::string& reason : facts_.leaving.blockers) {
      checks_.fail("QEMU", "it would not let the guest go: " + reason,
                   "end that in the guest or in its definition, or move with " + offline());
    }
    if (!facts_.leaving.asked.ok()) {
      checks_.warn("QEMU", "it could not be asked whether the guest can leave: " +
                               facts_.leaving.asked.failure);
    } else if (facts_.leaving.blockers.empty()) {
      checks_.pass("QEMU", "it knows no reason why the guest could not leave");
    }
    if (facts_.live.type == "qemu" && facts_.source.hypervisor < kSafeEmulation) {
      checks_.warn(
          "emulated guest",
          "old versions of QEMU (7.2 was seen to) may lose what an emulated processor (type "
          "'qemu', without KVM) writes to memory meanwhile: the guest may crash",
          "move it with " + offline());
    }
  }

  void route() {
    const LeavingFacts& leaving = facts_.leaving;
    if (!leaving.certificates.ok()) {
      checks_.fail("certificates", leaving.certificates.failure, leaving.certificates.hint);
    } else if (request_.tls) {
      checks_.warn("certificates", facts_.source.local
                                       ? "there are some here; whether the target takes them, its "
                                         "QEMU tells only when the guest comes"
                                       : "they cannot be looked at from here");
    }
    const std::string name = "way to the target";
    if (!leaving.route.ok()) {
      checks_.fail(name, leaving.route.failure, leaving.route.hint);
    } else if (leaving.tried) {
      checks_.pass(name, leaving.endpoint + " answers");
    } else {
      checks_.warn(name, leaving.endpoint.empty()
                             ? "libvirt chooses it: it was not tried"
                             : leaving.endpoint + " could not be tried from here");
    }
  }

  void left(const LeftDisk& disk) {
    const std::string name = "disk " + disk.dev;
    const std::string what = disk.image + " stays on " + facts_.source.hostname +
                             (disk.stored_only ? " (only the stored definition names it)" : "") +
                             (disk.why.empty() ? "" : ": " + disk.why);
    if (!disk.look.ok()) {
      return checks_.fail(name, what + "; it cannot be looked at: " + disk.look.failure, kLeftHint);
    }
    if (is_live(method_) && disk.transient) {
      return checks_.fail(name, what + "; libvirt migrates no running guest with it", kLeftHint);
    }
    switch (disk.reach) {
      case LeftDisk::Reach::kBound:
        return checks_.fail(name, what + ", which has the device", kLeftHint);
      case LeftDisk::Reach::kLocalFile:
        return checks_.fail(name, what + ", on a file system that only that host has", kLeftHint);
      case LeftDisk::Reach::kNotSeen:
        return checks_.fail(name, what + ", and there is no such file on this machine", kLeftHint);
      case LeftDisk::Reach::kNotLooked:
        return checks_.warn(name, what +
                                      ", whose files cannot be looked at from here: the target "
                                      "must see it under the same path");
      case LeftDisk::Reach::kDevice:
        return checks_.warn(name, what + ": under this path the target must have the same device");
      case LeftDisk::Reach::kSameMachine:
      case LeftDisk::Reach::kSharedFile:
        return checks_.warn(name, what + ": the target must see the same file under this path");
    }
  }

  void target() {
    const std::string& name = request_.domain;
    if (facts_.source.uuid == facts_.target.uuid && !facts_.source.uuid.empty()) {
      return;  // of the same host, all of this was said already
    }
    if (facts_.state_at_target == DomainState::kRunning ||
        facts_.state_at_target == DomainState::kPaused) {
      checks_.fail("name at the target", fmt::format("a domain {} runs there already", name),
                   "if it is another machine, rename one of them");
    } else if (!facts_.uuid_at_target.empty() && facts_.uuid_at_target != facts_.live.uuid) {
      checks_.fail("name at the target", fmt::format("another domain there is called {}", name),
                   "rename or undefine it");
    } else if (!facts_.uuid_at_target.empty()) {
      checks_.warn("name at the target",
                   "the same machine is defined there, shut off: it will be replaced");
    } else if (!facts_.name_at_target.empty()) {
      checks_.fail("UUID at the target",
                   fmt::format("domain {} there has the same UUID", facts_.name_at_target),
                   "if it is a copy of this machine, undefine it there");
    } else {
      checks_.pass("name at the target", "free, and so is the UUID");
    }
    for (const std::string& network : facts_.missing_networks) {
      checks_.fail("network " + network, "not active at the target",
                   fmt::format("virsh -c {} net-start {}", shell_word(facts_.target.uri),
                               shell_word(network)));
    }
    for (const std::string& path : facts_.missing_media) {
      checks_.fail("media", path + " does not exist at the target",
                   "eject it: virsh change-media --eject");
    }
    for (const std::string& bridge : facts_.live.bridges) {
      checks_.warn("bridge " + bridge, "libvirt cannot be asked whether the target has it");
    }
    if (!facts_.target.local && !facts_.live.media_paths().empty()) {
      checks_.warn("media", "the drives' images must exist at the target under the same paths");
    }
    for (const HostFile& file : facts_.live.host_files) {
      if (!facts_.target.local || file.what == "qemu:commandline") {
        checks_.warn(file.what, file.path + " must exist at the target as well");
      }
    }
  }

 private:
  /// The option of the command that asks.
  std::string offline() const {
    return facts_.warm.kind == RunKind::kCutover ? "--offline" : "--mode offline";
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  const CopyMethod method_;
  CheckList& checks_;
};

}  // namespace

void check_leaving(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                   CheckList& checks) {
  LeavingChecker checker(request, facts, method, checks);
  checker.features();
  checker.target();
  for (const LeftDisk& disk : facts.leaving.left) {
    checker.left(disk);
  }
  if (is_live(method)) {
    checker.route();
  }
}

}  // namespace vmferry::migrate
