// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_facts_by_hand.h"

// The pure part of planning: facts by hand, the checks and the way that follow.

namespace vmferry::test {

using migrate::Facts;
using migrate::LeftDisk;
using migrate::SecretState;

TEST_CASE("nothing is wrong with good facts", "[migrate]") {
  MigrateRequest request = request_to_pool();
  Facts facts = good_facts();
  CHECK(failures(make_plan(request, facts)) == "");
  CHECK(failures(make_plan(request, facts), Check::Result::kWarning) == "");
  CHECK(make_plan(request, facts).possible());
  to_beta(request, facts);
  CHECK(failures(make_plan(request, facts)) == "");
}

TEST_CASE("each check fails for its reason alone, and says what to do", "[migrate]") {
  for (const BadCase& bad : bad_cases()) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    bad.spoil(request, facts);
    const Plan plan = make_plan(request, facts);
    INFO(bad.check);
    CHECK(failures(plan) == bad.check);
    CHECK_FALSE(plan.possible());
    for (const Check& check : plan.checks) {
      if (check.result != Check::Result::kFailed) {
        continue;
      }
      INFO(check.message);
      CHECK_FALSE(check.message.empty());
      // What others said is handed on; they may have said all.
      if (bad.check != "disk vda" && bad.check != "disks" && facts.rewriting.ok()) {
        CHECK_FALSE(check.hint.empty());
      }
    }
  }
}

TEST_CASE("what cannot be known, or is only unwelcome, is a warning", "[migrate]") {
  const auto warnings = [](const std::function<void(MigrateRequest&, Facts&)>& change) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    change(request, facts);
    const Plan plan = make_plan(request, facts);
    CHECK(plan.possible());
    return failures(plan, Check::Result::kWarning);
  };
  CHECK(warnings([](auto&, Facts& facts) { facts.source.rbd_driver.reset(); }) ==
        "QEMU's rbd driver at the source");
  CHECK(warnings([](auto&, Facts& facts) { facts.checkpoints = {"c"}; }) == "checkpoints");
  CHECK(warnings([](auto&, Facts& facts) { facts.pools["vms"].nearly_full = true; }) == "room");
  // How much differs from a base, nobody knows.
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          request.bases = {{"vda", "rbd:vms/golden@v1"}};
          facts.disks[0].base = "rbd:vms/golden@v1";
          facts.pools["vms"].available = 1000;
        }) == "room");
  // Nor, of an old volume, how much is new since the last sync.
  CHECK(warnings([](auto&, Facts& facts) {
          facts.disks[0].move.first_image = facts.disks[0].move.image;
          facts.disks[0].move.image.volume = RbdLocation{.pool = "old", .image = "a"};
          facts.pools["vms"].available = 1000;
        }) == "room");
  CHECK(warnings([](auto&, Facts& facts) { facts.pools["vms"].health = "osds are down"; }) ==
        "cluster health");
  CHECK(warnings([](auto&, Facts& facts) {
          facts.pools["vms"].available = std::numeric_limits<uint64_t>::max();
        }) == "room");
  CHECK(warnings([](auto&, Facts& facts) { facts.secrets[0].state = SecretState::kUncompared; }) ==
        "secret on alpha");
  CHECK(warnings([](auto&, Facts& facts) { facts.secrets[0].state = SecretState::kPrivate; }) ==
        "secret on alpha");
  CHECK(warnings([](auto&, Facts& facts) { facts.disks[0].overlay_room = 300 << 20; }) ==
        "overlay of vda");
  CHECK(warnings([](auto&, Facts& facts) { facts.failed_to_write = true; }) == "state");
  // A sync of volumes needs them for a moment, if at all.
  CHECK(warnings([](auto&, Facts& facts) {
          facts.warm.kind = RunKind::kSync;
          facts.disks[0].move.image.volume.emplace();
          facts.disks[0].overlay_room = 1000;
        }) == "overlay of vda");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.live.bridges = {"br0"};
        }) == "bridge br0");
  for (const LeftDisk::Reach reach :
       {LeftDisk::Reach::kNotLooked, LeftDisk::Reach::kDevice, LeftDisk::Reach::kSameMachine,
        LeftDisk::Reach::kSharedFile}) {
    CHECK(warnings([&](MigrateRequest& request, Facts& facts) {
            to_beta(request, facts);
            left_at(facts, reach);
          }) == "disk vdb");
  }
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.live.type = "qemu";
        }) == "emulated guest");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.leaving.asked.failure = "denied";
        }) == "QEMU");
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          to_beta(request, facts);
          facts.leaving.tried = false;
        }) == "way to the target");
  // How small it becomes, nobody knows.
  CHECK(warnings([](MigrateRequest& request, Facts& facts) {
          request.to_dir = "/img";
          request.file_layout = {.format = *find_format("qcow2"), .compression = "zstd"};
          facts.file_room = 1000;
        }) == "room for the files");
}

TEST_CASE("what is kept for the host is no room for overlays", "[migrate]") {
  const auto message = [](uint64_t free, std::optional<uint64_t> most) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    request.overlay_max = most;
    facts.disks[0].overlay_room = free;
    for (const Check& check : make_plan(request, facts).checks) {
      if (check.name == "overlay of vda") {
        return check.message;
      }
    }
    return std::string();
  };
  const std::string kept = " free in /img, of which 256.0 MiB are kept for the host";
  CHECK(message(100 << 20, {}) == "100.0 MiB" + kept);
  CHECK(message(300 << 20, {}) ==
        "only 44.0 MiB for what the guest writes meanwhile: 300.0 MiB" + kept);
  CHECK(message(300 << 20, 45 << 20) ==
        "--overlay-max is 45.0 MiB, but there are only 300.0 MiB" + kept);
}

TEST_CASE("what is in an image and does not move is named before", "[migrate]") {
  const auto message = [](bool delete_source, const std::string& stays) {
    MigrateRequest request = request_to_pool();
    Facts facts = good_facts();
    request.delete_source = delete_source;
    facts.disks[0].parts.snapshots = {"before-upgrade", "older"};
    facts.disks[0].source_stays = stays;
    for (const Check& check : make_plan(request, facts).checks) {
      if (check.name == "snapshots in vda" && check.result == Check::Result::kWarning) {
        return check.message;
      }
    }
    return std::string();
  };
  const std::string held =
      "the image holds 2 snapshots (\"before-upgrade\", ...), which do not move";
  CHECK(message(false, "") == held + ", and will stay in it");
  CHECK(message(true, "it is a link") == held + ", and will stay in it");
  CHECK(message(true, "") == held + ", and will be deleted with it");
}

TEST_CASE("the method follows from the request and few facts", "[migrate]") {
  struct Row {
    DomainState state;
    MigrateMode mode;
    MigrateMethod asked;
    bool to;
    bool local;
    std::optional<bool> driver;
    CopyMethod method;
  };
  using enum DomainState;
  using enum CopyMethod;
  constexpr auto kAnyMode = MigrateMode::kAuto;
  constexpr auto kAnyMethod = MigrateMethod::kAuto;
  const std::vector<Row> rows = {
      {kRunning, kAnyMode, kAnyMethod, false, true, true, kStaged},
      {kPaused, kAnyMode, kAnyMethod, false, true, {}, kStaged},
      {kRunning, kAnyMode, kAnyMethod, true, true, true, kStaged},
      {kRunning, kAnyMode, kAnyMethod, true, true, false, kMirrored},
      {kRunning, kAnyMode, kAnyMethod, true, false, {}, kMirrored},
      {kRunning, kAnyMode, MigrateMethod::kMirror, false, true, true, kMirrored},
      {kRunning, kAnyMode, MigrateMethod::kStaged, true, false, {}, kStaged},
      {kRunning, MigrateMode::kOffline, kAnyMethod, true, true, true, kOffline},
      {kShutOff, kAnyMode, kAnyMethod, false, true, true, kOffline},
      {kShutOff, MigrateMode::kLive, kAnyMethod, false, true, true, kStaged},
  };
  for (const Row& row : rows) {
    MigrateRequest request = request_to_pool();
    request.mode = row.mode;
    request.method = row.asked;
    if (row.to) {
      request.to = "qemu:///beta";
    }
    HostFacts source = host("alpha");
    source.local = row.local;
    source.rbd_driver = row.driver;
    CHECK(migrate::choose_method(request, row.state, source) == row.method);
  }
  MigrateRequest back = request_to_pool();
  back.to_dir = "/back";
  CHECK(migrate::choose_method(back, kRunning, host("alpha")) == kStaged);
  back.method = MigrateMethod::kMirror;
  CHECK(migrate::choose_method(back, kRunning, host("alpha")) == kMirrored);
}

}  // namespace vmferry::test
