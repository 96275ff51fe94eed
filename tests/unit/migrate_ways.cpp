// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <stdexcept>

#include "tests/unit/migrate_rig.h"

// The worlds in which each way begins.

namespace vmferry::test {
namespace {

constexpr const char* kOnFiles = R"(
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native'/>
      <source file='/img/web1.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/img/web1-data.qcow2'/>
      <target dev='vdb' bus='virtio'/>
      <serial>D4TA</serial>
    </disk>)";

constexpr const char* kOnVolumes = R"(
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap'/>
      <source protocol='rbd' name='vms/old-a'>
        <auth username='libvirt'>
          <secret type='ceph' uuid='0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f'/>
        </auth>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='rbd' name='vms/old-b'>
        <auth username='libvirt'>
          <secret type='ceph' uuid='0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f'/>
        </auth>
      </source>
      <target dev='vdb' bus='virtio'/>
      <serial>D4TA</serial>
    </disk>)";

std::string machine(const std::string& disks) {
  return fmt::format(R"(<domain type='kvm'>
  <name>{}</name>
  <uuid>{}</uuid>
  <memory unit='KiB'>1048576</memory>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{}
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='/iso/tools.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <interface type='network'><source network='default'/></interface>
  </devices>
</domain>)",
                     kGuestName, kGuestUuid, disks);
}

void place_guest(World& world, const std::string& disks) {
  DomainData domain;
  domain.name = kGuestName;
  domain.uuid = kGuestUuid;
  domain.stored = laid_out(machine(disks));
  domain.autostart = true;
  HostData& host = world.hosts["alpha"];
  host.domains[kGuestName] = domain;
  // What was on the disks before, as far as the guest has not written over it.
  GuestData& guest = world.guests[kGuestUuid];
  guest.counter = 100;
  for (const DefinedDisk& disk : read_definition(domain.stored).disks) {
    if (disk.device == "disk") {
      guest.wrote[disk.dev] = world.view(disk.chain.front().image);
    }
  }
  world.launch(host, host.domains[kGuestName], false);
}

void on_files(World& world) {
  world.images["/img/web1.img"] = {.size = kDiskBytes, .own = {{0, 1}, {1, 2}, {5, 3}}};
  world.images["/img/base.qcow2"] = {
      .format = "qcow2", .size = kDiskBytes, .own = {{2, 4}, {3, 5}, {6, 6}}};
  world.images["/img/web1-data.qcow2"] = {
      .format = "qcow2", .size = kDiskBytes, .backing = "/img/base.qcow2", .own = {{3, 7}}};
  world.foreign.insert("/img/base.qcow2");
  place_guest(world, kOnFiles);
}

void on_volumes(World& world) {
  world.images["rbd:vms/old-a"] = {.size = kDiskBytes, .own = {{0, 1}, {1, 2}, {5, 3}}};
  world.images["rbd:vms/old-b"] = {.size = kDiskBytes, .own = {{2, 4}, {3, 5}}};
  world.images["/back"] = {};
  world.foreign.insert("/back");
  place_guest(world, kOnVolumes);
}

void to_cluster(World& world, MigrateRequest& request) {
  on_files(world);
  request.pool = "vms";
  request.user = "libvirt";
  request.secret.uuid = kSecretUuid;
  request.monitors = {{"10.0.0.1", 6789}, {"::1", 3300}};
}

void to_other_pool(World& world, MigrateRequest& request) {
  on_volumes(world);
  world.pools["fast"] = world.pools["vms"];
  request.pool = "fast";
  request.user = "libvirt";
  request.secret.uuid = kSecretUuid;
  request.volumes_move = true;
}

void to_files(World& world, MigrateRequest& request) {
  on_volumes(world);
  request.to_dir = "/back";
}

void to_qcow2(World& world, MigrateRequest& request) {
  to_files(world, request);
  request.file_layout.format = *find_format("qcow2");
}

/// A tree of them inside of the second disk; the guest is at one that is no leaf.
void with_snapshots(World& world, MigrateRequest& request) {
  to_cluster(world, request);
  request.mode = MigrateMode::kOffline;
  request.snapshots = true;
  DomainData& domain = world.hosts["alpha"].domains[kGuestName];
  const auto add = [&](const std::string& name, const std::string& parent) {
    const std::string above = parent.empty() ? "" : "<parent><name>" + parent + "</name></parent>";
    world.images["/img/web1-data.qcow2"].snapshots.push_back(name);
    domain.known_snapshots.push_back(
        {.name = name,
         .definition = fmt::format("<domainsnapshot><name>{}</name>{}<disks>"
                                   "<disk name='vda' snapshot='no'/>"
                                   "<disk name='vdb' snapshot='internal'/></disks>{}"
                                   "</domainsnapshot>",
                                   name, above, domain.stored),
         .current = name == "two"});
  };
  add("one", "");
  add("two", "one");
  add("three", "two");
  add("other", "one");
}

void shut_off(World& world) { world.stop(world.hosts["alpha"].domains[kGuestName]); }

constexpr const char* kOtherSecretUuid = "1e7f5d2f-402c-4b67-8e1f-8b6d2c3e4f50";
constexpr const char* kBeta = "qemu+unix:///system?socket=/run/beta";

}  // namespace

const std::vector<WayUnderTest>& all_ways() {
  static const std::vector<WayUnderTest> kWays = {
      {"staged here", to_cluster},
      {"staged here, old images deleted",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.delete_source = true;
       }},
      {"staged, then to another host",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.to = kBeta;
       }},
      {"mirrored here",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.method = MigrateMethod::kMirror;
       }},
      {"mirrored to another host",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.method = MigrateMethod::kMirror;
         request.to = kBeta;
       }},
      {"mirrored to another host, definition kept, paused guest, new secret",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         world.hosts["alpha"].domains[kGuestName].state = DomainState::kPaused;
         for (auto& [name, host] : world.hosts) {
           host.secrets.clear();
         }
         request.method = MigrateMethod::kMirror;
         request.to = kBeta;
         request.define_secret = true;
         request.keep_source_definition = true;
       }},
      {"offline here, running before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.mode = MigrateMode::kOffline;
       }},
      {"offline here, shut off before, old images deleted",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         shut_off(world);
         request.delete_source = true;
       }},
      {"offline here, copied before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         shut_off(world);
         world.images["rbd:vms/web1-vda"] = {.size = kDiskBytes,
                                             .own = world.view("/img/web1.img")};
         world.images["rbd:vms/web1-vdb"] = {.size = kDiskBytes,
                                             .own = world.view("/img/web1-data.qcow2")};
         request.rewrite_only = true;
       }},
      {"offline to another host, running before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         request.mode = MigrateMode::kOffline;
         request.to = kBeta;
       }},
      {"offline to another host, shut off before",
       [](World& world, MigrateRequest& request) {
         to_cluster(world, request);
         shut_off(world);
         request.to = kBeta;
       }},
      {"offline here, shut off before, with snapshots",
       [](World& world, MigrateRequest& request) {
         with_snapshots(world, request);
         shut_off(world);
       }},
      {"offline to another host, running before, with snapshots",
       [](World& world, MigrateRequest& request) {
         with_snapshots(world, request);
         request.to = kBeta;
       }},
      {"back to files, live", to_files},
      {"back to files, mirrored",
       [](World& world, MigrateRequest& request) {
         to_files(world, request);
         request.method = MigrateMethod::kMirror;
       }},
      {"back to files, offline, old volumes deleted",
       [](World& world, MigrateRequest& request) {
         to_files(world, request);
         request.mode = MigrateMode::kOffline;
         request.delete_source = true;
       }},
  };
  return kWays;
}

const std::vector<WayUnderTest>& ways_on_rbd() {
  static const std::vector<WayUnderTest> kWays = {
      {"from RBD to another pool, live", to_other_pool},
      {"from RBD to another pool, live, old volumes deleted",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         request.delete_source = true;
       }},
      {"from RBD to another cluster, live, new secret",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         request.old_cluster = CephOptions{
             .conf = "/etc/ceph/old.conf", .id = "libvirt", .keyring = {}, .cluster = {}};
         request.ceph_conf = "/etc/ceph/new.conf";
         request.secret.uuid = kOtherSecretUuid;
         request.define_secret = true;
       }},
      {"from RBD to another pool, then to another host",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         request.to = kBeta;
       }},
      {"from RBD to another pool, offline, running before",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         request.mode = MigrateMode::kOffline;
       }},
      {"from RBD to another pool, offline, shut off before, old volumes deleted",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         shut_off(world);
         request.delete_source = true;
       }},
      {"from RBD to another pool, offline, to another host",
       [](World& world, MigrateRequest& request) {
         to_other_pool(world, request);
         request.mode = MigrateMode::kOffline;
         request.to = kBeta;
       }},
  };
  return kWays;
}

const std::vector<WayUnderTest>& ways_to_qcow2() {
  static const std::vector<WayUnderTest> kWays = {
      {"back to qcow2 files, live", to_qcow2},
      {"back to qcow2 files, mirrored",
       [](World& world, MigrateRequest& request) {
         to_qcow2(world, request);
         request.method = MigrateMethod::kMirror;
       }},
      {"back to qcow2 files, offline",
       [](World& world, MigrateRequest& request) {
         to_qcow2(world, request);
         request.mode = MigrateMode::kOffline;
       }},
  };
  return kWays;
}

const WayUnderTest& way_named(std::string_view name) {
  for (const auto* ways : {&all_ways(), &ways_on_rbd(), &ways_to_qcow2()}) {
    for (const WayUnderTest& way : *ways) {
      if (way.name == name) {
        return way;
      }
    }
  }
  throw std::logic_error(std::string(name));
}

}  // namespace vmferry::test
