// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_storage.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"

// Several hosts of the model, each with guests, for plans of a fleet.

namespace vmferry::test {

inline constexpr uint64_t kFleetDiskBytes = uint64_t{1} << 30;
/// Of a raw image: all that a guest of the model may write is written already.
inline constexpr uint64_t kFleetDiskData = kSectors * 65536;

struct FleetGuest {
  std::string host;
  std::string name;
  bool running = false;
  std::string disks = {};  ///< empty: one raw image
};

inline std::string fleet_image_disk(const std::string& path,
                                    const std::string& driver = "type='raw'") {
  return fmt::format(
      "<disk type='file' device='disk'><driver name='qemu' {}/><source file='{}'/>"
      "<target dev='vda' bus='virtio'/></disk>",
      driver, path);
}

inline constexpr const char* kFleetVolumeDisk =
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='rbd' name='vms/old'/><target dev='vda' bus='virtio'/></disk>";

/// Hosts "h1", "h2" ..., whose URIs are "qemu:///h1" ..., and a cluster with the pool "vms".
class FleetRig {
 public:
  explicit FleetRig(unsigned hosts) : world(std::make_shared<World>()), storage_(world) {
    for (unsigned i = 1; i <= hosts; ++i) {
      const std::string name = fmt::format("h{}", i);
      world->hosts[name].facts = {.uri = "qemu:///" + name,
                                  .hostname = name,
                                  .uuid = "uuid-of-" + name,
                                  .libvirt = 9000000,
                                  .hypervisor = 7002000,
                                  .local = true,
                                  .rbd_driver = true};
      request.hosts.push_back("qemu:///" + name);
      hosts_["qemu:///" + name] = std::make_shared<FakeHost>(world, name);
    }
    PoolFacts& pool = world->pools["vms"];
    pool.exists = pool.for_rbd = true;
    pool.available = uint64_t{1} << 40;
    pool.overhead = 3;
    world->images["rbd:vms/old"] = {.size = kFleetDiskBytes};
    request.pool = "vms";
  }

  DomainData& add(const FleetGuest& guest) {
    const std::string path = fmt::format("/{}/{}.img", guest.host, guest.name);
    if (guest.disks.empty()) {
      Image& image = world->images[path];
      image.size = kFleetDiskBytes;
      for (unsigned sector = 0; sector < kSectors; ++sector) {
        image.own[sector] = 1;
      }
    }
    DomainData domain;
    domain.name = guest.name;
    domain.uuid = fmt::format("6b1c2a3e-55d1-4f5c-9f0e-{:012}", ++count_);
    domain.stored = laid_out(fmt::format(
        "<domain type='kvm'><name>{}</name><uuid>{}</uuid><memory unit='KiB'>65536</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
        "<emulator>/usr/bin/qemu-system-x86_64</emulator>{}</devices></domain>",
        guest.name, domain.uuid, guest.disks.empty() ? fleet_image_disk(path) : guest.disks));
    GuestData& data = world->guests[domain.uuid];
    data.counter = 100;
    for (const DefinedDisk& disk : read_definition(domain.stored).disks) {
      data.wrote[disk.dev] = world->view(disk.chain.front().image);
    }
    HostData& host = world->hosts.at(guest.host);
    host.domains[guest.name] = domain;
    if (guest.running) {
      world->launch(host, host.domains[guest.name], false);
    }
    return host.domains[guest.name];
  }

  FleetSurvey plan() { return plan_fleet(request, context()); }
  FleetSurvey check(const FleetPlan& plan) { return check_fleet(plan, context()); }

  size_t calls(const std::string& what) const {
    return static_cast<size_t>(std::count(world->log().begin(), world->log().end(), what));
  }

  std::shared_ptr<World> world;
  FleetRequest request;

 private:
  FleetContext context() {
    return {.storage = &storage_,
            .connect = [this](const std::string& uri) -> std::shared_ptr<Host> {
              const auto found = hosts_.find(uri);
              if (found == hosts_.end()) {
                throw Error({.kind = ErrorKind::kIo,
                             .object = uri,
                             .action = "connect",
                             .cause = "no route to host"});
              }
              return found->second;
            }};
  }

  FakeStorage storage_;
  std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
  unsigned count_ = 0;
};

}  // namespace vmferry::test
