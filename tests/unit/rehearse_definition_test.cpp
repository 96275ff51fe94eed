// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/rehearse/copy_definition.h"
#include "lib/rehearse/random_names.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

// What of a guest's definition its copy has.

namespace vmferry::test {
namespace {

using rehearsal::copy_definition;
using rehearsal::CopyDefinition;
using rehearsal::CopyTraits;

constexpr const char* kGuest = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";

std::string definition(const std::string& devices, const std::string& more = {}) {
  return "<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
         "<name>web1</name><uuid>" +
         std::string(kGuest) +
         "</uuid><memory unit='KiB'>1048576</memory><vcpu cpuset='1-3' placement='static'>2</vcpu>"
         "<os><type arch='x86_64' machine='pc'>hvm</type></os>" +
         more +
         "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
         "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
         "<source file='/img/web1.sync-2'/><target dev='vda' bus='virtio'/></disk>" +
         devices + "</devices></domain>";
}

CopyTraits traits() {
  CopyTraits wanted;
  wanted.name = "web1-rehearsal";
  wanted.uuid = "11111111-2222-4333-8444-555555555555";
  wanted.disks["vda"] = {.pool = "vms",
                         .image = "web1-vda-rehearsal",
                         .monitors = {},
                         .id = "libvirt",
                         .secret_uuid = "0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f"};
  return wanted;
}

CopyDefinition copy_of(const std::string& text, const CopyTraits& wanted = traits()) {
  return copy_definition(parse_domain(text, "web1.xml"), wanted);
}

bool has(const CopyDefinition& copy, const std::string& text) {
  return copy.text.find(text) != std::string::npos;
}

bool is_told(const CopyDefinition& copy, const std::string& beginning) {
  return std::any_of(copy.left_out.begin(), copy.left_out.end(),
                     [&](const std::string& line) { return line.starts_with(beginning); });
}

}  // namespace

TEST_CASE("a copy has a name, a UUID and disks of its own", "[rehearse]") {
  const CopyDefinition copy = copy_of(definition(""));
  const Domain domain = parse_domain(copy.text, "copy");
  CHECK(domain.name == "web1-rehearsal");
  CHECK(domain.uuid == "11111111-2222-4333-8444-555555555555");
  CHECK_FALSE(domain.live);
  REQUIRE(domain.disks.size() == 1);
  CHECK(domain.disks[0].image.display() == "rbd:vms/web1-vda-rehearsal");
  CHECK(domain.disks[0].image.format == "raw");
  CHECK(has(copy, "0d6f4c1e-3f1b-4a56-9d0e-7a5c1b2d3e4f"));
  CHECK_FALSE(has(copy, kGuest));
  CHECK_FALSE(has(copy, "/img/"));
  CHECK_FALSE(has(copy, "cpuset"));
  CHECK(copy.memory == uint64_t{1} << 30);
  CHECK_FALSE(copy.has_agent);
  CHECK_FALSE(copy.has_console);
  CHECK_FALSE(copy.has_screen);
  CHECK(copy.left_out.empty());
}

TEST_CASE("a disk that was on RBD before is on its clone as well", "[rehearse]") {
  CopyTraits wanted = traits();
  wanted.disks["vdb"] = {.pool = "fast", .image = "data-rehearsal"};
  const CopyDefinition copy = copy_of(
      definition("<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
                 "<auth username='old'><secret type='ceph' usage='old secret'/></auth>"
                 "<source protocol='rbd' name='fast/data'><host name='m1' port='6789'/></source>"
                 "<target dev='vdb' bus='virtio'/></disk>"),
      wanted);
  CHECK(has(copy, "fast/data-rehearsal"));
  CHECK_FALSE(has(copy, "fast/data\""));
  CHECK_FALSE(has(copy, "old"));
  CHECK_FALSE(has(copy, "m1"));
}

TEST_CASE("disks that have no clone are not the copy's", "[rehearse]") {
  const CopyDefinition copy = copy_of(definition(
      "<disk type='file' device='disk'><source file='/img/shared.raw'/><target dev='vdb'/>"
      "<shareable/></disk>"
      "<disk type='file' device='disk'><source file='/img/other.raw'/><target dev='vdc'/></disk>"
      "<disk type='network' device='disk'><source protocol='rbd' name='vms/x'/>"
      "<target dev='vdd'/></disk>"
      "<disk type='block' device='lun'><source dev='/dev/sdx'/><target dev='sda'/></disk>"
      "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
      "<source file='/iso/a.iso'/><target dev='hda' bus='ide'/><readonly/></disk>"
      "<disk type='file' device='cdrom'><target dev='hdb' bus='ide'/><readonly/></disk>"));
  const Domain domain = parse_domain(copy.text, "copy");
  REQUIRE(domain.disks.size() == 3);
  CHECK(domain.disks[1].target == "hda");
  CHECK(domain.disks[1].image.display() == "nothing");
  CHECK_FALSE(has(copy, "/img/"));
  CHECK_FALSE(has(copy, "/dev/"));
  CHECK_FALSE(has(copy, "/iso/"));
  CHECK_FALSE(has(copy, "vms/x"));
  for (const char* told :
       {"disk vdb: it is shared", "disk vdc: it is in no snapshot",
        "disk vdd: it is on RBD already", "disk sda: ", "the medium of cdrom hda: "}) {
    INFO(told);
    CHECK(is_told(copy, told));
  }
  CHECK_FALSE(is_told(copy, "the medium of cdrom hdb"));
}

TEST_CASE("a copy sees its network cards, and nothing beyond them", "[rehearse]") {
  const CopyDefinition copy = copy_of(definition(
      "<interface type='bridge'><mac address='52:54:00:aa:bb:cc'/><source bridge='br0'/>"
      "<target dev='vnet3'/><model type='e1000'/><filterref filter='clean-traffic'/>"
      "<virtualport type='openvswitch'/><boot order='1'/><rom file='/roms/x.rom'/>"
      "<link state='up'/><driver name='vhost' queues='4'/>"
      "<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/></interface>"
      "<interface type='network'><mac address='52:54:00:aa:bb:cd'/><source network='default'/>"
      "</interface>"
      "<interface type='hostdev'><mac address='52:54:00:aa:bb:ce'/><source><address type='pci'/>"
      "</source></interface>"));
  for (const char* gone : {"52:54:00:aa:bb", "br0", "vnet3", "clean-traffic", "openvswitch",
                           "boot order", "roms", "vhost", "default", "hostdev", "\"up\""}) {
    INFO(gone);
    CHECK_FALSE(has(copy, gone));
  }
  CHECK(has(copy, "e1000"));
  CHECK(has(copy, "0x03"));
  const auto count = [&](const std::string& text) {
    size_t found = 0;
    for (size_t at = copy.text.find(text); at != std::string::npos;
         at = copy.text.find(text, at + 1)) {
      ++found;
    }
    return found;
  };
  CHECK(count("<interface type=\"udp\"") == 2);
  CHECK(count("<link state=\"down\"/>") == 2);
  CHECK(count("<mac address=\"52:54:00:") == 2);
  CHECK(copy.left_out.size() == 3);
}

TEST_CASE("nothing of a copy leads to the guest, its files or its host", "[rehearse]") {
  const CopyDefinition copy = copy_of(definition(
      "<hostdev mode='subsystem' type='pci'/><filesystem type='mount'><source dir='/srv'/>"
      "</filesystem><tpm model='tpm-crb'/><shmem name='peer'/><vsock><cid address='3'/></vsock>"
      "<redirdev bus='usb' type='tcp'/><smartcard mode='host'/><pstore backend='acpi-erst'>"
      "<path>/var/pstore</path></pstore><lease><key>x</key></lease>"
      "<graphics type='vnc' port='5901' listen='0.0.0.0' passwd='sekret'/>"
      "<memory model='nvdimm'><source><path>/dev/pmem0</path></source></memory>"
      "<serial type='file'><source path='/log/a'/><log file='/log/b'/><target port='0'/></serial>"
      "<console type='unix'><source mode='bind' path='/run/c'/><target type='serial' port='0'/>"
      "</console><parallel type='dev'><source path='/dev/parport0'/></parallel>"
      "<channel type='unix'><source mode='bind' path='/run/agent.sock'/>"
      "<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
      "<channel type='unix'><source mode='bind' path='/run/other.sock'/>"
      "<target type='virtio' name='com.example.0'/></channel>"
      "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"
      "<input type='evdev'><source dev='/dev/input/event1'/></input>"
      "<input type='tablet' bus='usb'/>"
      "<rng model='virtio'><backend model='egd' type='tcp'><source host='h'/></backend></rng>"
      "<audio id='1' type='file' path='/snd'/><watchdog model='i6300esb' action='dump'/>"
      "<video><driver name='vhostuser'/><model type='virtio'><acceleration accel3d='yes'/></model>"
      "</video><nonsense path='/x/y'/>",
      "<metadata><nova/></metadata><memoryBacking><source type='file'/></memoryBacking>"
      "<cputune><vcpupin vcpu='0' cpuset='3'/></cputune><seclabel type='static'/>"
      "<sysinfo type='fwcfg'><entry name='a' file='/etc/shadow'/></sysinfo>"
      "<sysinfo type='smbios'><system><entry name='uuid'>" +
          std::string(kGuest) +
          "</entry><entry name='sku'>s1</entry></system></sysinfo>"
          "<qemu:commandline><qemu:arg value='-incoming'/></qemu:commandline>"
          "<newthing file='/z'/><on_crash>coredump-destroy</on_crash>"));
  for (const char* gone :
       {"/srv",   "/var/",     "/dev/",  "/log/",         "/run/",    "/snd",    "/etc/",
        "/x/",    "/z",        "sekret", "5901",          "tpm",      "hostdev", "peer",
        "vsock",  "spice",     "evdev",  "egd",           "dump",     "accel",   "vhostuser",
        "nova",   "static",    "cpuset", "memoryBacking", "incoming", "fwcfg",   "nonsense",
        "state=", "smartcard", "lease",  kGuest}) {
    INFO(gone);
    CHECK_FALSE(has(copy, gone));
  }
  CHECK(has(copy, "<serial type=\"pty\"><target port=\"0\"/></serial>"));
  CHECK(has(copy, "org.qemu.guest_agent.0"));
  CHECK(has(copy, "tablet"));
  CHECK(has(copy, "s1"));
  CHECK(copy.has_agent);
  CHECK(copy.has_console);
  CHECK(copy.has_screen);
  for (const char* told : {"hostdev (pci)",
                           "filesystem (mount)",
                           "tpm",
                           "shmem",
                           "vsock",
                           "redirdev",
                           "smartcard",
                           "pstore",
                           "lease",
                           "graphics (vnc)",
                           "memory (nvdimm)",
                           "what serial (file) leads to",
                           "what parallel (dev) leads to",
                           "channel com.example.0",
                           "input (evdev)",
                           "rng (egd)",
                           "nonsense: not known",
                           "newthing: not known",
                           "qemu:commandline",
                           "sysinfo (fwcfg)",
                           "cputune",
                           "memoryBacking"}) {
    INFO(told);
    CHECK(is_told(copy, told));
  }
}

TEST_CASE("UEFI variables are on a volume of the copy's own", "[rehearse]") {
  const std::string guest =
      "<domain type='kvm'><name>web1</name><memory>1024</memory><os><type>hvm</type>"
      "<loader readonly='yes' type='pflash'>/fw/CODE.fd</loader>"
      "<nvram template='/fw/VARS.fd'>/nvram/web1_VARS.fd</nvram><boot dev='network'/>"
      "<boot dev='hd'/></os><devices><disk type='file'><source file='/a'/><target dev='vda'/>"
      "</disk></devices></domain>";
  CopyTraits wanted = traits();
  wanted.nvram = RbdTarget{.pool = "vms", .image = "web1-vda-nvram-rehearsal"};
  const CopyDefinition copy = copy_of(guest, wanted);
  CHECK(has(copy, "/fw/CODE.fd"));
  CHECK_FALSE(has(copy, "VARS.fd"));
  CHECK(has(copy, "<nvram type=\"network\">"));
  CHECK(has(copy, "vms/web1-vda-nvram-rehearsal"));
  CHECK(has(copy, "dev=\"hd\""));
  CHECK_FALSE(has(copy, "dev=\"network\""));
  CHECK_FALSE(has(copy_of(guest), "<nvram"));
}

TEST_CASE("the memory of a copy can be another", "[rehearse]") {
  CopyTraits wanted = traits();
  wanted.memory = uint64_t{256} << 20;
  const CopyDefinition copy =
      copy_of(definition("<memory model='dimm'><target><size>1024</size></target></memory>",
                         "<currentMemory unit='GiB'>1</currentMemory><maxMemory>4</maxMemory>"),
              wanted);
  CHECK(copy.memory == wanted.memory);
  CHECK(has(copy, "<memory unit=\"b\">268435456</memory>"));
  CHECK(has(copy, "<currentMemory unit=\"b\">268435456</currentMemory>"));
  CHECK_FALSE(has(copy, "dimm"));
  CHECK_FALSE(has(copy, "maxMemory"));
  CHECK_THROWS_WITH(
      copy_of(definition("", "<cpu><numa><cell id='0' memory='1'/></numa></cpu>"), wanted),
      Contains("NUMA"));
}

TEST_CASE("what makes no copy is refused", "[rehearse]") {
  CopyTraits wanted = traits();
  wanted.disks["vdz"] = {.pool = "vms", .image = "z"};
  CHECK_THROWS_WITH(copy_of(definition(""), wanted), Contains("there is no such disk"));
  CHECK_THROWS_WITH(
      copy_definition(
          parse_domain("<domain type='xen'><devices><disk type='file'>"
                       "<source file='/a'/><target dev='vda'/></disk></devices></domain>",
                       "x"),
          traits()),
      Contains("only QEMU"));
  // A guest's names are texts, whatever is in them.
  CopyTraits odd = traits();
  odd.name = "a<&'\"b";
  CHECK(parse_domain(copy_of(definition(""), odd).text, "copy").name == odd.name);
}

TEST_CASE("names that are made up are well-formed, and never the same", "[rehearse]") {
  const std::string uuid = rehearsal::random_uuid();
  REQUIRE(uuid.size() == 36);
  CHECK(uuid[14] == '4');
  CHECK(std::string("89ab").find(uuid[19]) != std::string::npos);
  CHECK(uuid != rehearsal::random_uuid());
  CHECK(rehearsal::random_mac().size() == 17);
  CHECK(rehearsal::random_mac() != rehearsal::random_mac());
}

}  // namespace vmferry::test
