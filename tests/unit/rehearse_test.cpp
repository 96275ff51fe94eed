// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/rehearse.h"

#include <filesystem>

#include "tests/unit/catch.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_storage.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"

// Rehearsals in the model of two hosts, where any call fails, or is the last.

namespace vmferry::test {
namespace {

constexpr const char* kVolume = "rbd:vms/web1-vda";
constexpr const char* kClone = "rbd:vms/web1-vda-rehearsal";
constexpr const char* kCopy = "web1-rehearsal";
constexpr const char* kSecret = "0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f";

class FakeRehearsalVolumes : public RehearsalStorage {
 public:
  explicit FakeRehearsalVolumes(const std::shared_ptr<World>& world)
      : world_(world), storage_(world) {}

  std::string identity(const VolumeName& volume) override { return storage_.identity(volume); }
  void clone(const VolumeName& base, const std::string& snapshot, const VolumeName& volume,
             const Made& made) override {
    {
      const std::lock_guard guard(world_->mutex);
      if (!world_->images.contains(base.display() + "@" + snapshot)) {
        refuse(ErrorKind::kNotFound, base.display(), "the volume has no such snapshot");
      }
    }
    storage_.create_volume(volume, 4096, made);
  }
  void copy_file(const std::string&, const VolumeName& volume, const Made& made) override {
    storage_.create_volume(volume, 4096, made);
  }
  std::optional<uint64_t> written(const VolumeName& volume) override {
    const auto found = storage_.volume(volume);
    return found ? std::optional(found->allocated_bytes) : std::nullopt;
  }
  void remove(const VolumeName& volume, const std::string& identity) override {
    storage_.remove_volume(volume, identity);
  }

 private:
  const std::shared_ptr<World> world_;
  FakeStorage storage_;
};

/// web1 runs on alpha, on an overlay; its volume has a snapshot.
class Stage {
 public:
  Stage() : world(std::make_shared<World>()) {
    for (const std::string name : {"alpha", "beta"}) {
      HostData& host = world->hosts[name];
      host.facts = {.uri = name,
                    .hostname = name,
                    .uuid = "host-" + name,
                    .libvirt = 9000000,
                    .rbd_driver = true};
      host.secrets[kSecret] = "key";
      daemons_[name] = std::make_shared<FakeHost>(world, name);
    }
    world->key = "key";
    world->images["/img/web1.overlay"] = {.format = "qcow2", .size = 4096};
    world->images[kVolume] = {.size = 4096};
    world->images[std::string(kVolume) + "@vmferry-sync-2"] = {.size = 4096};
    DomainData guest;
    guest.name = "web1";
    guest.uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";
    guest.stored = laid_out(
        "<domain type='kvm'><name>web1</name><uuid>6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f</uuid>"
        "<memory unit='MiB'>512</memory><os><type>hvm</type></os><devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        "<source file='/img/web1.overlay'/><target dev='vda' bus='virtio'/></disk>"
        "<serial type='file'><source path='/log/web1'/></serial>"
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<video><model type='vga'/></video></devices></domain>");
    world->launch(alpha(), guest, false);
    alpha().domains["web1"] = guest;

    request.domain = "web1";
    request.uuid = guest.uuid;
    request.from = "alpha";
    request.disks = {{.dev = "vda",
                      .volume = {"vms", "web1-vda"},
                      .snapshot = "vmferry-sync-2",
                      .identity = std::string(kVolume) + "#0"}};
    request.user = "libvirt";
    request.secret.uuid = kSecret;
    request.timeout = std::chrono::seconds(60);
    request.screenshot = true;
  }
  Stage(const Stage&) = delete;

  HostData& alpha() { return world->hosts.at("alpha"); }
  HostData& beta() { return world->hosts.at("beta"); }

  RehearsalContext context() {
    RehearsalContext context;
    context.connect = [this](const std::string& uri) { return daemons_.at(uri); };
    context.volumes = [this](const CephOptions&) {
      return std::make_unique<FakeRehearsalVolumes>(world);
    };
    context.state_dir = dir_ / "";
    context.stop = stop.get_token();
    context.poll = std::chrono::milliseconds(0);
    context.now = [this] {
      if (at_look) {
        at_look();
      }
      now_ += std::chrono::seconds(1);
      return std::chrono::steady_clock::time_point(now_);
    };
    return context;
  }

  RehearsalReport rehearse() { return vmferry::rehearse(request, context()); }
  bool clean() { return clean_rehearsal("web1", context()); }

  bool has_record() const {
    return std::filesystem::exists(rehearsal_record_path("web1", dir_ / ""));
  }
  bool nothing_is_left() {
    const bool only_lock = !has_record();
    return only_lock && !world->images.contains(kClone) && !alpha().domains.contains(kCopy) &&
           !beta().domains.contains(kCopy);
  }
  /// The guest and its volumes, which nobody may touch.
  bool guest_is_well() {
    const DomainData& guest = alpha().domains.at("web1");
    return guest.state == DomainState::kRunning && world->guests[guest.uuid].lost_power == 0 &&
           world->images.contains(kVolume) &&
           world->images.contains(std::string(kVolume) + "@vmferry-sync-2") &&
           world->wrongs.empty();
  }
  const std::string record() const { return rehearsal_record_path("web1", dir_ / ""); }

  std::shared_ptr<World> world;
  RehearsalRequest request;
  std::stop_source stop;
  std::function<void()> at_look;

 private:
  const TempDir dir_;
  std::map<std::string, std::shared_ptr<FakeHost>> daemons_;
  std::chrono::seconds now_{0};
};

}  // namespace

TEST_CASE("a copy that comes up is told, and goes", "[rehearse]") {
  Stage stage;
  const bool away = GENERATE(false, true);
  stage.request.to = away ? "beta" : "";
  const RehearsalReport report = stage.rehearse();
  CHECK(report.came_up);
  CHECK(report.sign == UpSign::kAgent);
  CHECK(report.host == (away ? "beta" : "alpha"));
  CHECK(report.name == kCopy);
  CHECK(report.snapshots == std::vector<std::string>{"rbd:vms/web1-vda@vmferry-sync-2"});
  CHECK(report.memory == uint64_t{512} << 20);
  REQUIRE(report.screenshot);
  CHECK(report.screenshot->type == "image/x-portable-pixmap");
  CHECK(report.written);
  CHECK(report.left.empty());
  CHECK(stage.nothing_is_left());
  CHECK(stage.guest_is_well());
}

TEST_CASE("what a copy does not show is told, and it goes", "[rehearse]") {
  Stage stage;
  stage.world->agents_come_up = false;
  stage.world->boot_messages = "no bootable device\r\n";
  SECTION("the agent") {
    const RehearsalReport report = stage.rehearse();
    CHECK_FALSE(report.came_up);
    CHECK(report.why_not == "its agent did not answer within 60 s");
    CHECK(report.console == "no bootable device\r\n");
    CHECK(report.screenshot);
  }
  SECTION("a login prompt") {
    stage.request.sign = UpSign::kLogin;
    CHECK(stage.rehearse().why_not == "its console showed no login prompt within 60 s");
  }
  SECTION("that it stays on") {
    stage.request.sign = UpSign::kRunning;
    stage.at_look = [&] {
      if (stage.alpha().domains.contains(kCopy)) {
        stage.alpha().domains.erase(kCopy);
      }
    };
    CHECK(stage.rehearse().why_not == "it went off by itself");
  }
  SECTION("that it goes on") {
    stage.at_look = [&] {
      if (stage.alpha().domains.contains(kCopy)) {
        stage.alpha().domains.at(kCopy).state = DomainState::kPaused;
      }
    };
    CHECK(stage.rehearse().why_not == "it stands still: QEMU says 'paused'");
  }
  CHECK(stage.nothing_is_left());
  CHECK(stage.guest_is_well());
}

TEST_CASE("other signs than the agent", "[rehearse]") {
  Stage stage;
  stage.world->agents_come_up = false;
  SECTION("login") {
    stage.request.sign = UpSign::kLogin;
    stage.world->boot_messages = "web1 login: ";
    CHECK(stage.rehearse().came_up);
  }
  SECTION("running") {
    stage.request.sign = UpSign::kRunning;
    stage.request.running = std::chrono::seconds(20);
    const RehearsalReport report = stage.rehearse();
    CHECK(report.came_up);
    CHECK(report.seconds >= 20);
  }
  CHECK(stage.nothing_is_left());
}

TEST_CASE("a rehearsal that cannot be is refused before anything is made", "[rehearse]") {
  Stage stage;
  const unsigned before = stage.world->files;
  SECTION("no memory") {
    stage.alpha().free_memory = uint64_t{100} << 20;
    CHECK_THROWS_WITH(stage.rehearse(), Contains("its copy needs 512.0 MiB of memory"));
  }
  SECTION("a number without its unit") {
    stage.request.memory = 512;
    CHECK_THROWS_WITH(stage.rehearse(), Contains("no guest runs with 512 bytes of memory"));
  }
  SECTION("another guest") {
    stage.request.uuid = "another";
    CHECK_THROWS_WITH(stage.rehearse(), Contains("another machine now"));
  }
  SECTION("another volume") {
    stage.request.disks[0].identity = "another";
    CHECK_THROWS_WITH(stage.rehearse(), Contains("another volume than the synchronised one"));
  }
  SECTION("a machine of that name") {
    stage.alpha().domains[kCopy] = stage.alpha().domains["web1"];
    stage.alpha().domains[kCopy].uuid = "somebody";
    CHECK_THROWS_WITH(stage.rehearse(), Contains("has a machine web1-rehearsal already"));
    stage.alpha().domains.erase(kCopy);
  }
  SECTION("libvirt would not start it") {
    stage.alpha().refuses = "no such emulator";
    CHECK_THROWS_WITH(stage.rehearse(), Contains("no such emulator"));
  }
  CHECK(stage.world->files == before);
  CHECK(stage.nothing_is_left());
  CHECK(stage.guest_is_well());
}

TEST_CASE("a volume that somebody else made is never removed", "[rehearse]") {
  Stage stage;
  stage.world->images[kClone] = {.size = 4096};
  CHECK_THROWS_WITH(stage.rehearse(), Contains("it exists"));
  CHECK(stage.world->images.contains(kClone));
  CHECK_FALSE(stage.has_record());
  CHECK(stage.guest_is_well());
}

TEST_CASE("a stop ends a rehearsal, and all of it goes", "[rehearse]") {
  Stage stage;
  stage.world->agents_come_up = false;
  stage.at_look = [&, looks = 0]() mutable {
    if (++looks == 5) {
      stage.stop.request_stop();
    }
  };
  CHECK_THROWS_AS(stage.rehearse(), Error);
  CHECK(stage.nothing_is_left());
  CHECK(stage.guest_is_well());
}

TEST_CASE("what cannot be removed is told, and kept in mind", "[rehearse]") {
  Stage stage;
  stage.world->left_open = {kClone};
  const RehearsalReport report = stage.rehearse();
  CHECK(report.came_up);
  REQUIRE(report.left.size() == 1);
  CHECK_THAT(report.left[0], Contains(kClone));
  CHECK(stage.has_record());
  CHECK_THROWS_WITH(stage.rehearse(), Contains("what an earlier rehearsal left"));
  stage.world->left_open.clear();
  CHECK(stage.clean());
  CHECK_FALSE(stage.clean());
  CHECK(stage.nothing_is_left());
}

TEST_CASE("what took the names of a killed rehearsal is somebody else's", "[rehearse]") {
  Stage stage;
  stage.world->left_open = {kClone};
  CHECK(stage.rehearse().left.size() == 1);
  stage.world->left_open.clear();
  stage.world->images[kClone] = {.size = 4096, .file = 77};
  DomainData other = stage.alpha().domains.at("web1");
  other.name = kCopy;
  other.uuid = "another";
  other.disks.clear();
  stage.alpha().domains[kCopy] = other;
  CHECK(stage.clean());
  CHECK_FALSE(stage.has_record());
  CHECK(stage.world->images.contains(kClone));
  CHECK(stage.alpha().domains.contains(kCopy));
  CHECK(stage.world->guests["another"].lost_power == 0);
}

TEST_CASE("of a copy whose host is gone the clones can be removed", "[rehearse]") {
  Stage stage;
  stage.world->left_open = {kClone};
  CHECK(stage.rehearse().left.size() == 1);
  RehearsalContext context = stage.context();
  context.connect = [](const std::string&) -> std::shared_ptr<Host> {
    refuse(ErrorKind::kIo, "alpha", "no route to host");
  };
  CHECK_THROWS_WITH(clean_rehearsal("web1", context), Contains("no route to host"));
  CHECK(stage.has_record());
  stage.world->left_open.clear();
  CHECK(clean_rehearsal("web1", context));
  CHECK(stage.nothing_is_left());
}

TEST_CASE("a record that cannot be understood is left alone", "[rehearse]") {
  Stage stage;
  write_text(stage.record(), R"({"format": 1, "uri": 7})");
  CHECK_THROWS_AS(stage.rehearse(), Error);
  write_text(stage.record(), R"({"format": 99})");
  CHECK_THROWS_WITH(stage.clean(), Contains("another version"));
  CHECK(stage.has_record());
}

TEST_CASE("whatever call of a rehearsal fails or is the last", "[rehearse][sweep]") {
  const Fault fault =
      GENERATE(Fault::kFailBefore, Fault::kFailAfter, Fault::kKillBefore, Fault::kKillAfter);
  unsigned calls = 0;
  {
    Stage stage;
    const unsigned before = stage.world->calls();
    stage.rehearse();
    calls = stage.world->calls() - before;
  }
  REQUIRE(calls > 10);
  for (unsigned at = 1; at <= calls; ++at) {
    Stage stage;
    INFO("fault " << static_cast<int>(fault) << " at call " << at);
    stage.world->arm(at, fault);
    bool killed = false;
    try {
      stage.rehearse();
    } catch (const Error&) {
    } catch (const Killed&) {
      killed = true;
    }
    INFO(stage.world->where());
    CHECK(stage.guest_is_well());
    if (killed && at % 2 == 0) {
      stage.alpha().domains.erase(kCopy);  // as libvirt does when the connection ends
    }
    if (!stage.nothing_is_left()) {
      CHECK(stage.has_record());
    }
    // The next one clears up, and goes as ever.
    CHECK(stage.rehearse().came_up);
    CHECK(stage.nothing_is_left());
    CHECK(stage.guest_is_well());
  }
}

}  // namespace vmferry::test
