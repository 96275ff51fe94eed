// SPDX-License-Identifier: LGPL-2.1-or-later
// Which running guest has an image, as its libvirt tells.
#include "vmferry/in_use.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"

namespace vmferry::test {
namespace {

std::string disk_of_file(const std::string& path, const std::string& backing = "") {
  const std::string below =
      backing.empty() ? ""
                      : fmt::format(
                            "<backingStore type='file'><format type='raw'/><source file='{}'/>"
                            "<backingStore/></backingStore>",
                            backing);
  return fmt::format(
      "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>{}"
      "<target dev='vda' bus='virtio'/></disk>",
      path, below);
}

/// A host with domains, and an image at `image`.
class HostWithImage {
 public:
  HostWithImage() { write_text(image, "a disk"); }

  void add(const std::string& name, DomainState state, const std::string& disks) {
    DomainData& domain = world->hosts["alpha"].domains[name];
    domain.name = domain.uuid = name;
    domain.state = state;
    domain.running = fmt::format("<domain type='kvm'><name>{}</name><devices>{}</devices></domain>",
                                 name, disks);
  }
  std::string user() { return running_user(host, image); }

  const TempDir dir;
  const std::string image = dir / "disk.raw";
  const std::shared_ptr<World> world = std::make_shared<World>();
  FakeHost host = FakeHost(world, "alpha");
};

}  // namespace

TEST_CASE("the user of an image is a guest that runs or is paused, and has it in a chain",
          "[migrate]") {
  HostWithImage host;
  host.world->hosts["alpha"];
  CHECK(host.user().empty());
  host.add("off", DomainState::kShutOff, disk_of_file(host.image));
  host.add("other", DomainState::kRunning, disk_of_file(host.dir / "other.raw"));
  host.add("empty", DomainState::kRunning, "");
  CHECK(host.user().empty());
  host.add("paused", DomainState::kPaused, disk_of_file(host.dir / "top.raw", host.image));
  CHECK(host.user() == "paused");
}

TEST_CASE("the user of an image has it by any name", "[migrate]") {
  HostWithImage host;
  std::filesystem::create_symlink("disk.raw", host.dir / "link");
  std::filesystem::create_hard_link(host.image, host.dir / "other-name.raw");
  for (const char* name : {"link", "other-name.raw"}) {
    host.add("web1", DomainState::kRunning, disk_of_file(host.dir / name));
    CHECK(host.user() == "web1");
  }
}

TEST_CASE(
    "the user of an image is found beside guests that end just then, and no other failure "
    "is a no",
    "[migrate]") {
  HostWithImage host;
  host.add("ends", DomainState::kRunning, disk_of_file(host.dir / "other.raw"));
  host.add("web1", DomainState::kRunning, disk_of_file(host.image));
  host.world->hook = [&](unsigned, const std::string& call) {
    if (call == "alpha: definition") {
      host.world->hosts["alpha"].domains.erase("ends");
    }
  };
  CHECK(host.user() == "web1");
  for (const char* call : {"alpha: active_domains", "alpha: definition"}) {
    host.world->arm(1, Fault::kFailBefore, call);
    CHECK_THROWS_AS(host.user(), Error);
  }
}

TEST_CASE("a volume of a pool that is gone is nobody's image", "[migrate]") {
  HostWithImage host;
  host.add("web1", DomainState::kRunning,
           "<disk type='volume' device='disk'><source pool='gone' volume='a'/>"
           "<target dev='vda' bus='virtio'/></disk><disk type='file' device='disk'><source file='" +
               host.image + "'/><target dev='vdb' bus='virtio'/></disk>");
  host.world->arm(1, Fault::kFailBefore, "alpha: volume_path");
  CHECK(host.user() == "web1");
}

}  // namespace vmferry::test
