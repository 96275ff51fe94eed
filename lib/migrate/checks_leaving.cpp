// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "lib/core/shell_word.h"
#include "lib/migrate/check_list.h"

// Checks of a move to another host: what keeps the machine here, and what it needs there.

namespace vmferry::migrate {
namespace {

class LeavingChecker {
 public:
  LeavingChecker(const MigrateRequest& request, const Facts& facts, const Way& way,
                 CheckList& checks)
      : request_(request), facts_(facts), way_(way), checks_(checks) {}

  void features() {
    const Domain& domain = facts_.live;
    if (domain.has_nvram && !way_.live)
      checks_.fail("NVRAM", "UEFI variables are a file that an offline move does not carry",
                   "move it live, or copy the file yourself and move without --to");
    if (domain.has_tpm && !way_.live)
      checks_.fail("TPM", "the TPM's state is on this host and an offline move does not carry it",
                   "move it live, or move the disks only (without --to)");
    if (way_.live && domain.hostdev_count() != 0)
      checks_.fail(
          "host devices",
          fmt::format("{} devices of this host are given to the guest", domain.hostdev_count()),
          "detach them, or move the disks only (without --to)");
  }

  void target() {
    const std::string& name = request_.domain;
    if (facts_.state_at_target == DomainState::kRunning ||
        facts_.state_at_target == DomainState::kPaused)
      checks_.fail("name at the target", fmt::format("a domain {} runs there already", name),
                   "if it is another machine, rename one of them");
    else if (!facts_.uuid_at_target.empty() && facts_.uuid_at_target != facts_.live.uuid)
      checks_.fail("name at the target", fmt::format("another domain there is called {}", name),
                   "rename or undefine it");
    else if (!facts_.uuid_at_target.empty())
      checks_.warn("name at the target",
                   "the same machine is defined there, shut off: it will be replaced");
    else if (!facts_.name_at_target.empty())
      checks_.fail("UUID at the target",
                   fmt::format("domain {} there has the same UUID", facts_.name_at_target),
                   "if it is a copy of this machine, undefine it there");
    else
      checks_.pass("name at the target", "free, and so is the UUID");
    for (const std::string& network : facts_.missing_networks)
      checks_.fail("network " + network, "not active at the target",
                   fmt::format("virsh -c {} net-start {}", shell_word(facts_.target.uri),
                               shell_word(network)));
    for (const std::string& path : facts_.missing_media)
      checks_.fail("media", path + " does not exist at the target",
                   "eject it: virsh change-media --eject");
    for (const std::string& bridge : facts_.live.bridges)
      checks_.warn("bridge " + bridge, "libvirt cannot be asked whether the target has it");
    if (!facts_.target.local && !facts_.live.media_paths().empty())
      checks_.warn("media", "the drives' images must exist at the target under the same paths");
    for (const HostFile& file : facts_.live.host_files)
      if (!facts_.target.local)
        checks_.warn(file.what, file.path + " must exist at the target, too");
  }

 private:
  const MigrateRequest& request_;
  const Facts& facts_;
  const Way& way_;
  CheckList& checks_;
};

}  // namespace

void check_leaving(const MigrateRequest& request, const Facts& facts, const Way& way,
                   CheckList& checks) {
  LeavingChecker checker(request, facts, way, checks);
  checker.features();
  checker.target();
}

}  // namespace vmferry::migrate
