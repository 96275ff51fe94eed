// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// Disks that somebody takes from the machine, or puts on something else, while they move.

namespace vmferry::test {
namespace {

constexpr const char* kDev = "vdb";

struct Taken {
  std::string image;  ///< that the disk was on
  Content content;
};

/// virsh detach-disk --live --config, which libvirt refuses while a job has the disk.
std::optional<Taken> detach(Rig& rig) {
  DomainData* domain = rig.present();
  if (!domain || domain->stored.empty() || domain->has_job) {
    return std::nullopt;
  }
  Taken taken;
  if (domain->active()) {
    const auto disk = domain->disks.find(kDev);
    if (disk == domain->disks.end() || disk->second.job) {
      return std::nullopt;
    }
    taken.image = disk->second.chain.front().image;
    taken.content = rig.world().view(disk->second.chain);
    domain->disks.erase(disk);
    domain->running = without_disk(domain->running, kDev);
  } else {
    for (const DefinedDisk& disk : read_definition(domain->stored).disks) {
      if (disk.dev == kDev) {
        taken.image = disk.chain.front().image;
      }
    }
    if (taken.image.empty()) {
      return std::nullopt;
    }
    taken.content = rig.world().view(taken.image);
  }
  domain->stored = without_disk(domain->stored, kDev);
  rig.world().guests.at(kGuestUuid).wrote.erase(kDev);
  return taken;
}

/// The disk back on the image that it had before the move: unplugged and plugged in again, or
/// defined so while the guest was off. Nothing: it is on that, or a job has it.
std::optional<Taken> put_back(Rig& rig, const std::string& original, bool off) {
  DomainData* domain = rig.present();
  if (!domain || domain->stored.empty() || domain->has_job || !domain->active()) {
    return {};
  }
  if (rig.beta().domains.contains(kGuestName)) {
    return {};  // the old images are not there
  }
  const auto found = domain->disks.find(kDev);
  if (found == domain->disks.end()) {
    return {};
  }
  LiveDisk& disk = found->second;
  if (disk.job || disk.chain.front().image == original) {
    return {};
  }
  if (!rig.world().images.contains(original)) {
    return {};
  }
  const std::string image = disk.chain.front().image;
  const Taken taken{.image = image, .content = rig.world().images.at(image).own};
  const Layer old = layer_of_image(original, rig.world().images.at(original).format);
  disk.chain = rig.world().chain_of(old);
  domain->running = with_image(domain->running, kDev, old);
  domain->stored = with_image(domain->stored, kDev, old);
  if (off) {
    rig.world().stop(*domain);
  }
  rig.world().guests.at(kGuestUuid).wrote[kDev] = rig.world().view(original);
  return taken;
}

/// Answers whether the disk was put back.
bool run_with_disk_put_back(const WayUnderTest& way, unsigned n, Fault fault, bool off) {
  Rig rig(way);
  const Plan plan = rig.plan_of_way();
  const std::string original = plan.disks.back().original;
  std::optional<Taken> taken;
  rig.world().arm(fault == Fault::kNone ? 0 : n, fault);
  rig.world().hook = [&](unsigned call, const std::string&) {
    if (call == n && fault == Fault::kNone) {
      taken = put_back(rig, original, off);
    }
  };
  Outcome outcome = rig.run(plan);
  rig.world().arm(0, Fault::kNone);
  rig.world().hook = nullptr;
  if (fault != Fault::kNone && rig.has_journal()) {
    taken = put_back(rig, original, off);
  }
  INFO(way.name << ", call " << n << ": " << outcome.message << "; " << rig.said());
  if (!taken) {
    return false;
  }
  const auto is_kept = [&] {
    if (taken->content.empty()) {
      return true;  // there was nothing to lose
    }
    const auto found = rig.world().images.find(taken->image);
    return found != rig.world().images.end() && found->second.own == taken->content;
  };
  CHECK(is_kept());
  for (const Recovery how : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
    if (!rig.has_journal()) {
      break;
    }
    outcome = rig.recover(how);
    INFO("recovered: " << outcome.message << " hint: " << outcome.hint);
    CHECK(is_kept());
    if (!outcome.done()) {
      CHECK(outcome.names_recovery());
    }
  }
  if (rig.has_journal()) {  // the way out that is named
    REQUIRE(detach(rig));
    outcome = rig.recover(Recovery::kAuto);
    if (!outcome.done() && !rig.guest_runs()) {
      rig.power_on();
      outcome = rig.recover(Recovery::kAuto);
    }
  }
  INFO("in the end: " << outcome.message << " " << outcome.hint);
  CHECK_FALSE(rig.has_journal());
  CHECK(is_kept());
  for (const std::string& wrong : rig.world().wrongs) {
    // A guest that is back on the image writes to it while it is copied: that copy fails.
    INFO(wrong);
    CHECK(wrong.find("which changes") != std::string::npos);
  }
  return true;
}

/// Answers whether the run had an n-th call.
bool run_with_detach(const WayUnderTest& way, unsigned n) {
  Rig rig(way);
  const Plan plan = rig.plan_of_way();
  rig.world().arm(0, Fault::kNone);
  std::optional<Taken> taken;
  bool came = false;
  rig.world().hook = [&](unsigned call, const std::string& what) {
    if (call != n) {
      return;
    }
    came = true;
    // Between a look at a definition and its change nobody can come but here.
    if (!what.ends_with("define")) {
      taken = detach(rig);
    }
  };
  Outcome outcome = rig.run(plan);
  rig.world().hook = nullptr;
  INFO(way.name << ", before call " << n << ": " << outcome.message << "; " << rig.said());
  if (rig.has_journal()) {
    outcome = rig.recover(Recovery::kAuto);
  }
  INFO("in the end: " << outcome.message << " " << outcome.hint);
  CHECK_FALSE(rig.has_journal());
  CHECK(rig.problems_always().empty());
  if (!taken) {
    return came;
  }
  CHECK(rig.world().view(taken->image) == taken->content);
  const DomainData* domain = rig.present();
  REQUIRE(domain);
  CHECK(domain->stored.find("dev=\"vda\"") != std::string::npos);
  CHECK(domain->stored.find("dev=\"vdb\"") == std::string::npos);
  return came;
}

}  // namespace

TEST_CASE("a disk that is taken away at any moment leaves the move, and its data is kept",
          "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      for (const unsigned n : moments_of(way)) {
        CHECK(run_with_detach(way, n));
      }
    }
  }
}

TEST_CASE("a disk that is put back on its old image at any moment keeps what was written since",
          "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      unsigned cases = 0;
      const std::vector<std::string> calls = calls_of(way);
      for (const unsigned n : moments_of(way)) {
        const std::string& call = calls.at(n - 1);
        // Nobody can be kept from coming between a look and what follows from it, or between a
        // switch and its note, but here.
        const auto is = [&call](const char* name) { return call.find(name) != std::string::npos; };
        if (is("define") || is("pivot") || is("migrate") || is("remove")) {
          continue;
        }
        cases += run_with_disk_put_back(way, n, Fault::kKillAfter, n % 2 == 0);
        if (way.name.find("deleted") == std::string::npos) {  // their looks are long before
          cases += run_with_disk_put_back(way, n, Fault::kNone, n % 2 == 0);
        }
      }
      if (way.name == "staged here" || way.name == "mirrored here") {
        CHECK(cases > 5);
      }
    }
  }
}

TEST_CASE("a run whose machine is gone can be ended, and nothing is removed", "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    INFO(way.name);
    Rig rig(way);
    const std::vector<unsigned> moments = moments_of(way);
    rig.world().arm(moments[moments.size() / 2], Fault::kKillAfter);
    CHECK(rig.run(rig.plan_of_way()).killed);
    if (!rig.has_journal()) {
      continue;
    }
    rig.world().arm(0, Fault::kNone);
    for (HostData* host : {&rig.alpha(), &rig.beta()}) {
      for (auto& [name, domain] : host->domains) {
        rig.world().stop(domain);
      }
      host->domains.clear();
    }
    const size_t images = rig.world().images.size();
    const Outcome stuck = rig.recover(Recovery::kAuto);
    CHECK(stuck.error == ErrorKind::kNotFound);
    CHECK(stuck.hint.find("--recover --undo") != std::string::npos);
    const Outcome ended = rig.recover(Recovery::kUndo);
    INFO(ended.message);
    CHECK(ended.done());
    CHECK(ended.report.end == MigrateReport::End::kLeft);
    CHECK_FALSE(rig.has_journal());
    CHECK(rig.world().images.size() == images);
  }
}

TEST_CASE("when the machine is gone, what a copy may have left behind is named", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.world().arm(1, Fault::kKillMiddle, "copy_in");
  CHECK(rig.run(rig.plan()).killed);
  rig.world().arm(0, Fault::kNone);
  rig.alpha().domains.clear();
  CHECK(rig.recover(Recovery::kUndo).done());
  CHECK(rig.said().find("unfinished copy may be left, which holds nothing newer: rbd rm ") !=
        std::string::npos);
  CHECK(rig.said().find("-vda.vmferry-partial") != std::string::npos);
  CHECK(rig.said().find("-vdb.vmferry-partial") == std::string::npos);
}

TEST_CASE("what is under somebody's snapshot is not removed, whether its guest runs or not",
          "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    if (way.name != "mirrored here" && way.name != "staged here") {
      continue;
    }
    for (const bool off : {false, true}) {
      INFO(way.name << (off ? ", shut off" : ""));
      Rig rig(way);
      rig.world().arm(2, Fault::kKillAfter, "alpha: pivot");  // both disks depend on volumes now
      CHECK(rig.run(rig.plan()).killed);
      rig.world().arm(0, Fault::kNone);
      DomainData& guest = rig.guest();
      for (const char* dev : {"vda", "vdb"}) {
        const std::string top = guest.disks.at(dev).chain.front().image;
        const std::string backup = std::string("/img/backup-") + dev;
        rig.world().images[backup] = {.format = "qcow2", .backing = top};
        const Layer layer = layer_of_image(backup, "qcow2");
        guest.disks.at(dev).chain.insert(guest.disks.at(dev).chain.begin(), layer);
        guest.running = with_image(guest.running, dev, layer);
        guest.stored = with_image(guest.stored, dev, layer);
      }
      const std::string stored = guest.stored;
      if (off) {
        rig.world().stop(guest);
      }
      for (const Recovery how : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
        const Outcome outcome = rig.recover(how);
        INFO(outcome.message);
        CHECK(outcome.error == ErrorKind::kConflict);
        CHECK(outcome.message.find("this move did not make") != std::string::npos);
      }
      CHECK(rig.has_journal());
      CHECK(guest.stored == stored);
      CHECK(rig.world().images.contains("rbd:vms/web1-vda"));
      CHECK(rig.world().images.contains("rbd:vms/web1-vdb"));
    }
  }
}

}  // namespace vmferry::test
