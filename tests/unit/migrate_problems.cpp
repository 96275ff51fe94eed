// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "tests/unit/migrate_rig.h"

// What must hold at any time, and at the ends.

namespace vmferry::test {
namespace fs = std::filesystem;
namespace {

/// What a definition says of the disks' drivers, laid out in one way.
std::string drivers_of(const std::string& definition) {
  std::string text;
  for (const DefinedDisk& disk : read_definition(definition).disks) {
    text += disk.dev + ": " + disk.driver + "\n";
  }
  return text;
}

std::set<std::string> told_of(const DomainData& domain) {
  std::set<std::string> texts;
  for (const KnownSnapshot& snapshot : domain.known_snapshots) {
    texts.insert(snapshot.definition + (snapshot.current ? " current" : ""));
  }
  return texts;
}

}  // namespace

void Rig::require(bool holds, const std::string& what) {
  if (!holds) {
    problems_.push_back(what);
  }
}

std::vector<std::string> Rig::report_problems() {
  for (const std::string& wrong : world_->wrongs) {
    problems_.push_back(wrong);
  }
  std::sort(problems_.begin(), problems_.end());
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return std::exchange(problems_, {});
}

void Rig::check_content() {
  const GuestData& guest = world_->guests.at(kGuestUuid);
  for (auto& [host_name, host] : world_->hosts) {
    for (auto& [name, domain] : host.domains) {
      if (!domain.active() || domain.incoming) {
        continue;
      }
      for (const auto& [dev, wrote] : guest.wrote) {
        require(world_->view(domain.disks[dev].chain) == wrote,
                "the running guest sees other data on " + dev);
      }
    }
  }
}

void Rig::check_restart() {
  try {
    if (DomainData* domain = running()) {
      world_->stop(*domain);
    }
    power_on();
    require(running() != nullptr, "the guest cannot be started");
    check_content();
    for (int i = 0; i < 20; ++i) {
      world_->tick();
    }
    check_content();
  } catch (const Error& error) {
    require(false, std::string("the guest cannot be started: ") + error.what());
  }
}

std::vector<std::string> Rig::problems_always() {
  const bool live = before_.active() && request.mode != MigrateMode::kOffline;
  unsigned defined = 0;
  for (auto& [name, host] : world_->hosts) {
    defined += host.domains.contains(kGuestName);
  }
  require(defined != 0, "the guest is lost");
  if (live && !guest_was_stopped) {
    require(running() != nullptr, "the guest does not run");
  }
  require(world_->guests.at(kGuestUuid).lost_power == 0, "a running guest was destroyed");
  check_content();
  return report_problems();
}

void Rig::check_state(const std::string& host) {
  const auto found = world_->hosts.at(host).domains.find(kGuestName);
  require(found != world_->hosts.at(host).domains.end(), "the guest is not on " + host);
  if (found == world_->hosts.at(host).domains.end()) {
    return;
  }
  const DomainData& domain = found->second;
  if (!guest_was_stopped) {
    require(domain.state == before_.state,
            fmt::format("the guest's state is {}", static_cast<int>(domain.state)));
  } else {
    require(domain.state != DomainState::kPaused, "the guest is left paused");
  }
  require(domain.autostart == before_.autostart, "autostart is not as it was");
  require(!domain.stored.empty(), "the guest is transient");
  for (const auto& [dev, disk] : domain.disks) {
    require(!disk.job, "a block job is left on " + dev);
  }
}

void Rig::check_images(std::set<std::string> expected) {
  expected.insert(others.begin(), others.end());
  for (const auto& [name, image] : world_->images) {
    if (expected.erase(name) == 0) {
      require(false, name + " is left over");
    }
  }
  for (const std::string& name : expected) {
    require(false, name + " is gone");
  }
}

std::vector<std::string> Rig::problems_if_untouched() {
  require(!has_journal(), "the journal is left");
  check_state("alpha");
  require(!beta().domains.contains(kGuestName), "the guest is defined on beta");
  const DomainData& now = alpha().domains[kGuestName];
  require(now.stored == before_.stored, "the definition changed");
  require(told_of(now) == told_of(before_), "libvirt knows other snapshots than before");
  require(
      before_.known_snapshots.empty() || state_text().find("domainsnapshot") == std::string::npos,
      "what libvirt knows of the snapshots is left in the state directory");
  if (now.active() && before_.active()) {
    require(now.running == before_.running, "the live definition changed");
  }
  check_images(images_before_);
  for (std::string& problem : problems_always()) {
    problems_.push_back(std::move(problem));
  }
  check_restart();
  return report_problems();
}

std::string Rig::goal_pool() const { return request.pool.empty() ? "vms" : request.pool; }

std::map<std::string, std::string> Rig::goals() const {
  const bool to_files = !request.to_dir.empty();
  const std::string before = to_files ? "/back/web1-" : "rbd:" + goal_pool() + "/web1-";
  const std::string after = to_files ? std::string(".") + request.file_layout.format.name() : "";
  std::map<std::string, std::string> goals;
  for (const DefinedDisk& disk : read_definition(before_.stored).disks) {
    if (disk.device == "disk") {
      goals[disk.dev] = before + disk.dev + after;
    }
  }
  return goals;
}

std::string Rig::rewritten(const std::string& definition) const {
  std::vector<DiskMove> moves;
  for (const auto& [dev, goal] : goals()) {
    if (!request.to_dir.empty()) {
      const std::string format = request.file_layout.format.name();
      moves.push_back({.disk = dev, .to = FileTarget{.path = goal, .format = format}});
    } else {
      moves.push_back({.disk = dev, .to = RbdTarget{.pool = goal_pool(), .image = "web1-" + dev}});
    }
  }
  return rewrite_disks(parse_domain(definition, "the old definition"), moves);
}

void Rig::check_moved_definitions() {
  const std::string host = request.to.empty() ? "alpha" : "beta";
  const DomainData& domain = world_->hosts.at(host).domains[kGuestName];
  const auto check = [&](const std::string& text, const std::string& which) {
    for (const DefinedDisk& disk : read_definition(text).disks) {
      if (disk.device == "disk") {
        require(!disk.chain.empty() && disk.chain.front().image == goals().at(disk.dev) &&
                    disk.chain.front().format == request.file_layout.format.name(),
                "the " + which + " definition does not name the goal of " + disk.dev);
      }
    }
  };
  check(domain.stored, "persistent");
  require(drivers_of(domain.stored) == drivers_of(rewritten(before_.stored)),
          "the drivers of the persistent definition are not as rewritten");
  if (!domain.active()) {
    return;
  }
  check(domain.running, "live");
  const bool told = said_.find("gives back no room") != std::string::npos;
  for (const auto& [dev, goal] : goals()) {
    require(domain.disks.at(dev).discards || told, "nobody says that discards of " + dev + " fail");
  }
  for (const auto& [dev, disk] : domain.disks) {
    require(disk.chain.size() == 1, "the chain of " + dev + " is not its goal alone");
  }
}

bool Rig::said_to_stay(const std::string& image) const {
  return said_last_.find("the old disk " + image + " stays: ") != std::string::npos;
}

std::vector<std::string> Rig::problems_if_moved() {
  require(!has_journal(), "the journal is left");
  check_state(request.to.empty() ? "alpha" : "beta");
  check_moved_definitions();
  for (const KnownSnapshot& snapshot : before_.known_snapshots) {
    require(state_text().find(snapshot.definition) != std::string::npos,
            "what libvirt knew of the snapshot " + snapshot.name + " is not kept");
  }
  for (const auto& [name, host] : world_->hosts) {
    const auto domain = host.domains.find(kGuestName);
    require(domain == host.domains.end() || domain->second.known_snapshots.empty(),
            "libvirt still knows snapshots of the old disks on " + name);
  }
  if (!request.to.empty()) {
    require(alpha().domains.contains(kGuestName) == request.keep_source_definition,
            "the old definition is not as asked for");
    if (request.keep_source_definition) {
      require(!alpha().domains[kGuestName].autostart, "the old definition still autostarts");
    }
    const std::string old = read_definition(before_.stored).disks.front().chain.front().image;
    const auto is_kept = [this](const std::string& image) {
      return state_text().find(image.substr(image.find(':') + 1)) != std::string::npos;
    };
    // After an offline end of a warm move, the newest data of the old disk is in an overlay.
    require(is_kept(old) || std::any_of(others.begin(), others.end(), is_kept),
            "the old XML is not kept");
  }
  std::set<std::string> expected = images_before_;
  for (const auto& [dev, image] : goals()) {
    expected.insert(image);
  }
  if (request.delete_source) {
    for (const DefinedDisk& disk : read_definition(before_.stored).disks) {
      if (disk.device == "disk" && !said_to_stay(disk.chain.front().image)) {
        expected.erase(disk.chain.front().image);
      }
    }
  }
  check_images(expected);
  for (std::string& problem : problems_always()) {
    problems_.push_back(std::move(problem));
  }
  if (request.keep_source_definition) {
    alpha().domains.erase(kGuestName);
  }
  check_restart();
  return report_problems();
}

}  // namespace vmferry::test
