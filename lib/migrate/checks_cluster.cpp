// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/migrate/check_list.h"

// Checks of the cluster: it answers the guest's user, its pools have room, the hosts have the key.

namespace vmferry::migrate {
namespace {

class ClusterChecker {
 public:
  ClusterChecker(const MigrateRequest& request, const Facts& facts, CheckList& checks)
      : request_(request), facts_(facts), checks_(checks) {}

  void reach() {
    if (!facts_.access.ok()) {
      checks_.fail(
          "cluster", facts_.access.failure,
          request_.monitors.empty()
              ? facts_.access.hint
              : "it was asked through the monitors that the guest will use (--monitor): do they "
                "answer from here? " +
                    facts_.access.hint);
      return;
    }
    std::string proven;
    for (const auto& [name, pool] : facts_.pools) {
      check_pool(name, pool);
      if (pool.exists && !pool.full) {
        proven += (proven.empty() ? "'" : ", '") + name + "'";
      }
    }
    if (proven.empty()) {
      return;
    }
    checks_.pass(
        "cluster",
        fmt::format("reached with the guest's user{}; a test object was written and removed in {}",
                    request_.monitors.empty() ? "" : " through its monitors", proven));
  }

  void check_copies() {
    for (const DiskFacts& disk : facts_.disks) {
      if (request_.rewrite_only && disk.problem.ok()) {
        copied(disk);
      }
    }
  }

  void check_bases(CopyMethod method) {
    for (const auto& [dev, base] : request_.bases) {
      const auto disk =
          std::find_if(facts_.disks.begin(), facts_.disks.end(),
                       [&wanted = dev](const DiskFacts& one) { return one.move.dev == wanted; });
      if (disk == facts_.disks.end()) {
        checks_.fail("base", "disk " + dev + " does not move, so it shares no base",
                     "leave --base " + dev + "=... out");
      } else if (method == CopyMethod::kMirrored) {
        checks_.fail("base",
                     "QEMU's mirror writes all of a disk, so " + dev + " would share nothing",
                     "--method staged or --mode offline");
      } else if (!disk->base_access.ok()) {
        checks_.fail("base", disk->base_access.failure,
                     disk->base_access.hint.empty() ? "see SHARED BASES in vmferry-convert(1)"
                                                    : disk->base_access.hint);
      } else if (facts_.access.ok()) {
        checks_.pass("base", fmt::format("{} will hold what differs from {}", dev, base));
      }
    }
  }

  void check_secret(const SecretFacts& secret) {
    const std::string name = "secret on " + secret.host;
    const SecretName& asked = request_.secret;
    const std::string which = asked.uuid.empty() ? "with the usage name '" + asked.usage + "'"
                                                 : "with the UUID " + asked.uuid;
    switch (secret.state) {
      case SecretState::kMatches:
        checks_.pass(name, "there, with the key of " + request_.user);
        break;
      case SecretState::kWillBeDefined:
        checks_.pass(name, "will be defined");
        break;
      case SecretState::kMissing:
        checks_.fail(name, "libvirt has no Ceph secret " + which,
                     "--define-secret makes it from the keyring; if there is another, name it with "
                     "--secret-uuid or --secret-usage");
        break;
      case SecretState::kNoValue:
        checks_.fail(name, "the Ceph secret " + which + " has no value",
                     "--define-secret sets it from the keyring");
        break;
      case SecretState::kDiffers:
        checks_.fail(
            name,
            fmt::format("its value is not the key of client.{}: QEMU would wait minutes for "
                        "the cluster",
                        request_.user),
            request_.old_cluster
                ? "guests of the old cluster may need it: name another with --secret-usage or "
                  "--secret-uuid"
                : "--define-secret updates it from the keyring");
        break;
      case SecretState::kPrivate:
        checks_.warn(
            name,
            "it is private: libvirt does not tell its value, so that it was not compared with the "
            "keyring",
            "--define-secret sets it from the keyring");
        break;
      case SecretState::kUncompared:
        checks_.warn(name, "its value could not be compared with the keyring: " + secret.detail);
        break;
      case SecretState::kOtherUse:
        checks_.fail(name,
                     fmt::format("the secret {} is not Ceph's but for {}", which, secret.detail),
                     "it is left alone; name another with --secret-uuid or --secret-usage");
        break;
      case SecretState::kNoDriver:
        checks_.fail(
            name, "that libvirt has no driver for secrets: " + secret.detail,
            "install it (libvirt-daemon-driver-secret, where that is a package of its own)");
        break;
      case SecretState::kUnasked:
        checks_.fail(name, "libvirt could not be asked for it: " + secret.detail,
                     "'virsh secret-list' on that host tells whether it answers");
        break;
      case SecretState::kNoKey:
        checks_.fail(name, "there is no key to define it with: " + secret.detail,
                     "--keyring names the file with the key of client." + request_.user);
        break;
    }
  }

 private:
  /// Its volume holds what the last sync has copied. What of an old volume is new since would be
  /// asked of each object.
  static bool is_there_in_part(const DiskFacts& disk) {
    return disk.move.first_image && disk.move.image.volume;
  }

  /// What is in it is compared when the guest is off.
  void copied(const DiskFacts& disk) {
    const std::string name = "volume " + disk.move.volume.display();
    if (!disk.volume) {
      checks_.fail(name, "there is none, and --rewrite-only copies nothing",
                   "leave --rewrite-only out");
    } else if (disk.volume->virtual_bytes != disk.move.size) {
      checks_.fail(name,
                   fmt::format("it has {} bytes, and the disk {}", disk.volume->virtual_bytes,
                               disk.move.size),
                   "it is no copy of that disk: name the one that is with --disk");
    } else {
      checks_.pass(name, "there, and of the size of the disk");
    }
  }

  void check_pool(const std::string& name, const PoolFacts& pool) {
    if (!pool.exists) {
      return checks_.fail("pool", fmt::format("there is no pool '{}'", name),
                          "'ceph osd pool ls' names them");
    }
    if (request_.to_files()) {
      return;
    }
    if (!pool.for_rbd) {
      checks_.fail("pool", fmt::format("pool '{}' is not made for RBD", name),
                   "rbd pool init " + RbdLocation{.pool = name}.ceph_name());
    }
    if (!pool.health.empty()) {
      checks_.warn("cluster health", fmt::format("pool '{}': {}", name, pool.health));
    }
    if (!request_.rewrite_only) {
      room(name, pool);
    }
  }

  void room(const std::string& name, const PoolFacts& pool) {
    uint64_t data = 0;
    uint64_t partly_shared = 0;
    uint64_t partly_there = 0;
    for (const DiskFacts& disk : facts_.disks) {
      if (disk.move.volume.pool != name) {
        continue;
      }
      const uint64_t own = std::max(std::min(disk.move.data, disk.move.size), disk.states);
      (!disk.base.empty() ? partly_shared : is_there_in_part(disk) ? partly_there : data) += own;
    }
    if (pool.full) {
      return checks_.fail("room", fmt::format("pool '{}' is full", name),
                          "'ceph df' tells what fills it");
    }
    if (pool.available == std::numeric_limits<uint64_t>::max()) {
      return checks_.warn("room",
                          fmt::format("the cluster does not tell how much is free in '{}'", name));
    }
    std::vector<std::string> parts;
    if (partly_shared != 0) {
      parts.push_back(fmt::format("what of {} differs from a base", about_bytes(partly_shared)));
    }
    if (partly_there != 0) {
      parts.push_back(fmt::format("what is new in {}", about_bytes(partly_there)));
    }
    if (data != 0 || parts.empty()) {
      parts.insert(parts.begin(), about_bytes(data) + " of data");
    }
    const std::string message =
        fmt::format("{} for pool '{}', which has {} free", fmt::join(parts, ", and "), name,
                    about_bytes(pool.available));
    if (data > pool.available) {
      checks_.fail("room", message, "make room, or name another pool");
    } else if (partly_shared + partly_there > pool.available - data) {
      checks_.warn("room", message + ": how much that is shows only while it is copied");
    } else if (pool.nearly_full) {
      checks_.warn("room", message + ": it is nearly full");
    } else {
      checks_.pass("room", message);
    }
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  CheckList& checks_;
};

}  // namespace

void check_cluster(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                   CheckList& checks) {
  ClusterChecker checker(request, facts, checks);
  checker.reach();
  checker.check_bases(method);
  checker.check_copies();
  for (const SecretFacts& secret : facts.secrets) {
    checker.check_secret(secret);
  }
}

}  // namespace vmferry::migrate
