// SPDX-License-Identifier: LGPL-2.1-or-later

#include "lib/domain/xml_chars.h"
#include "tests/unit/catch.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

std::string with_disks(const std::string& disks) {
  return "<domain type='kvm'><name>t</name><devices>" + disks + "</devices></domain>";
}

std::string disk(const std::string& inside, const std::string& attributes = "type='file'") {
  return "<disk " + attributes + ">" + inside + "</disk>";
}

DomainDisk one_disk(const std::string& text) {
  return parse_domain(with_disks(text), "t").disks.at(0);
}

/// The message of the Error that `text` causes; "taken" if it causes none.
std::string complaint(std::string text) {
  try {
    parse_domain(std::move(text), "t");
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

const std::string kFile = "<source file='/i.raw'/><target dev='vda' bus='virtio'/>";

}  // namespace

TEST_CASE("a definition tells what a migration asks") {
  const Domain domain = parse_domain(R"(<?xml version='1.0'?>
<domain type='kvm' id='3'>
  <name> web &amp; co </name>
  <uuid>7d0c1f5e-3a52-4c8b-9a51-000000000001</uuid>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF_CODE.fd</loader>
    <nvram template='/usr/share/OVMF_VARS.fd'>/nvram/web.fd</nvram>
    <kernel>/boot/vmlinuz</kernel>
  </os>
  <metadata><x:devices xmlns:x='y'><disk/></x:devices></metadata>
  <devices>
    <emulator>/usr/bin/qemu</emulator>
    <?other program?>
    <disk type='file' device='cdrom'><source file='/a.iso'/><target dev='sda'/></disk>
    <disk type='file' device='floppy'><target dev='fda'/></disk>
    <interface type='network'><source network='default'/></interface>
    <interface type='bridge'><source bridge='br0'/></interface>
    <interface type='hostdev'/>
    <hostdev mode='subsystem' type='usb'/>
    <tpm model='tpm-crb'/>
    <serial type='file'><source path='/log/web'/></serial>
    <console type='pty'><source path='/dev/pts/1'/></console>
    <filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>
  </devices>
</domain>)",
                                     "web.xml");
  CHECK(domain.name == "web & co");
  CHECK(domain.uuid == "7d0c1f5e-3a52-4c8b-9a51-000000000001");
  CHECK(domain.type == "kvm");
  CHECK(domain.emulator == "/usr/bin/qemu");
  CHECK(domain.live);
  CHECK(domain.has_nvram);
  CHECK(domain.nvram_path == "/nvram/web.fd");
  CHECK(domain.has_tpm);
  CHECK(domain.hostdevs == std::vector<std::string>{"pci", "usb"});
  CHECK(domain.networks == std::vector<std::string>{"default"});
  CHECK(domain.bridges == std::vector<std::string>{"br0"});
  CHECK(domain.media_paths() == std::vector<std::string>{"/a.iso"});
  REQUIRE(domain.disks.size() == 2);
  CHECK(domain.disks[1].line == 16);
  std::string files;
  for (const HostFile& file : domain.host_files) {
    files += file.what + " " + file.path + "\n";
  }
  CHECK(files ==
        "kernel /boot/vmlinuz\nloader /usr/share/OVMF_CODE.fd\n"
        "nvram template /usr/share/OVMF_VARS.fd\nfilesystem /srv\nserial /log/web\n");
}

TEST_CASE("firmware that keeps no variables has no nvram") {
  const auto nvram = [](const std::string& os) {
    return parse_domain("<domain type='kvm'><os>" + os + "</os></domain>", "t").has_nvram;
  };
  CHECK_FALSE(nvram(""));
  CHECK_FALSE(nvram("<loader type='rom'>/bios</loader>"));
  CHECK_FALSE(nvram("<loader type='pflash' stateless='yes'>/fd</loader>"));
  CHECK(nvram("<loader type='pflash'>/fd</loader>"));
  CHECK(
      parse_domain("<domain><os><nvram type='file'><source file='/v'/></nvram></os></domain>", "t")
          .nvram_path == "/v");
}

TEST_CASE("a disk is read with its chain") {
  const DomainDisk d = one_disk(R"(<disk device='disk' type='file'>
    <driver type='qcow2'/><source file='/top' index='1'/>
    <backingStore type='block'><format type='qcow2'/><source dev='/dev/mid'/>
      <backingStore type='network'><format type='raw'/><source protocol='rbd' name='p/base'>
        <snapshot name='gold'/></source><backingStore/></backingStore>
    </backingStore>
    <target dev='sdb' bus='scsi'/><readonly/><mirror/></disk>)");
  CHECK(d.target == "sdb");
  CHECK(d.bus == "scsi");
  CHECK(d.image.path == "/top");
  CHECK(d.image.format == "qcow2");
  REQUIRE(d.backing.size() == 2);
  CHECK(d.backing[0].path == "/dev/mid");
  CHECK(d.backing[0].format == "qcow2");
  CHECK(d.backing[1].is_rbd());
  CHECK(d.backing[1].display() == "rbd:p/base@gold");
  CHECK(d.chain_is_closed);
  CHECK(d.readonly);
  CHECK(d.mirrored);
  CHECK_FALSE(d.encrypted);
  CHECK(d.can_move());
}

TEST_CASE("a disk on RBD is read with where its cluster is") {
  const DomainDisk d = one_disk(R"(<disk device='disk' type='network'>
    <source protocol='rbd' name='p/i'><host name='::1' port='6789'/><host name='mon2'/>
      <host name='odd' port='-1'/><config file='/etc/ceph/two.conf'/></source>
    <target dev='vda'/></disk>)");
  CHECK(d.image.monitors == std::vector<CephMonitor>{{"::1", 6789}, {"mon2", 0}, {"odd", 0}});
  CHECK(d.image.ceph_conf == "/etc/ceph/two.conf");
}

TEST_CASE("every disk that cannot move says why") {
  const auto reason = [](const std::string& attributes, const std::string& inside) {
    return one_disk(disk(inside, attributes)).stays;
  };
  CHECK(reason("type='file'", kFile).empty());
  CHECK(reason("device='disk'", kFile).empty());
  CHECK(reason("type='block'", "<source dev='/dev/x'/><target dev='vda'/>").empty());
  CHECK(reason("type='volume'", "<source pool='p' volume='v'/><target dev='vda'/>").empty());
  CHECK(reason("type='file' device='cdrom'", kFile) == "it is a cdrom");
  CHECK(reason("type='file' device='floppy'", kFile) == "it is a floppy");
  CHECK(reason("type='block' device='lun'", kFile).find("SCSI LUN") != std::string::npos);
  CHECK(reason("type='file'", "<target dev='vda'/>") == "it names no image");
  CHECK(reason("type='file'", "<source file=''/><target dev='vda'/>") == "it names no image");
  CHECK(reason("type='file'", kFile + "<shareable/>").find("shared") != std::string::npos);
  CHECK(reason("type='file'", kFile + "<transient/>").find("transient") != std::string::npos);
  CHECK(reason("type='file'", "<source file='/i'/><target dev='sda' bus='sd'/>") ==
        "it is an SD card");
  CHECK(reason("type='network'", "<source protocol='rbd' name='p/i'/><target dev='vda'/>") ==
        "it is on RBD already");
  CHECK(reason("type='network'", "<source protocol='nbd'/><target dev='vda'/>") ==
        "it is on the network already (nbd)");
  for (const char* type : {"nvme", "vhostuser", "vhostvdpa", "dir", "tape"}) {
    CAPTURE(type);
    CHECK(reason("type='" + std::string(type) + "'", kFile).find(type) != std::string::npos);
  }
}

TEST_CASE("encryption is found wherever it stands") {
  const std::string e = "<encryption format='luks'/>";
  CHECK(one_disk(disk(kFile + e)).encrypted);
  CHECK(one_disk(disk("<source file='/i'>" + e + "</source><target dev='a'/>")).encrypted);
  CHECK(one_disk(disk(kFile + "<backingStore type='file'><source file='/b'>" + e +
                      "</source></backingStore>"))
            .encrypted);
}

TEST_CASE("bad definitions are refused with the place") {
  CHECK(complaint("") == "t: line 1, column 1: there is no XML element");
  CHECK(complaint("QFI\xfb") ==
        "t: line 1, column 4: the byte 0xfb is not a character of XML in UTF-8");
  CHECK(complaint("hello") == "t: line 1, column 1: text where XML should begin");
  CHECK(complaint("<network/>") == "t: line 1, column 1: this is a <network>, not a <domain>");
  CHECK(complaint("<domain>\n  <a>\n</domain>") ==
        "t: line 3, column 1: <a> is closed by </domain>");
  CHECK(complaint("<domain><a></domain") == "t: line 1, column 12: the tag </domain is not closed");
  CHECK(complaint("<domain>") == "t: line 1, column 9: the text ends inside of <domain>");
  CHECK(complaint("<domain/>\n<domain/>") ==
        "t: line 2, column 1: a second XML element after the first");
  CHECK(complaint("<domain/>\nx") == "t: line 2, column 1: text after the end of the definition");
  CHECK(complaint("<domain>é\x01</domain>").find("line 1, column 10: the byte 0x01") !=
        std::string::npos);
  const std::string two = disk(kFile) + "\n" + disk(kFile);
  CHECK(complaint(with_disks("\n" + two)) ==
        "t: line 3, column 1: the target 'vda' is also that of the disk in line 2");
  CHECK(complaint(with_disks("<disk/>")).find("without <target") != std::string::npos);
  CHECK(complaint(with_disks(disk(kFile + "<source file='/j'/>"))).find("more than one <source>") !=
        std::string::npos);
}

TEST_CASE("what is not well-formed is refused, though laxer parsers take it") {
  const std::vector<std::string> bad = {"<domain a='1' a='2'/>",
                                        "<domain a=1/>",
                                        "<domain a/>",
                                        "<domain a='1'b='2'/>",
                                        "<domain a='<'/>",
                                        "<domain>&nbsp;</domain>",
                                        "<domain>&</domain>",
                                        "<domain>&#0;</domain>",
                                        "<domain>&#xFFFF;</domain>",
                                        "<domain>]]></domain>",
                                        "<domain><!-- -- --></domain>",
                                        "<domain><!-- </domain>",
                                        "<domain><![CDATA[</domain>",
                                        "<domain>< a/></domain>",
                                        "<1domain/>",
                                        "</domain>",
                                        "<domain/><![CDATA[x]]>",
                                        " <?xml version='1.0'?><domain/>",
                                        "<domain><a/ ></domain>",
                                        "<domain a='1",
                                        "<domain><?a </domain>",
                                        "<domain>\xed\xa0\x80</domain>",
                                        "<domain>\xc0\xaf</domain>",
                                        "<domain>\xf4\x90\x80\x80</domain>",
                                        std::string("<domain>\0</domain>", 18)};
  for (const std::string& text : bad) {
    CAPTURE(text);
    try {
      parse_domain(text, "t");
      FAIL("taken");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kCorrupt);
      CHECK(error.parts().action.starts_with("line "));
    }
  }
}

TEST_CASE("what could be well-formed, but is no definition we take, is told apart") {
  const auto unsupported = [](std::string text) {
    try {
      parse_domain(std::move(text), "t");
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kUnsupported;
    }
  };
  CHECK(unsupported("<domstatus><domain/></domstatus>"));
  CHECK(unsupported("<domainsnapshot/>"));
  CHECK(unsupported("<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><domain>&b;</domain>"));
  CHECK(unsupported("<?xml version='1.0' encoding='iso-8859-1'?><domain/>"));
  CHECK(unsupported("\xff\xfe<"));
  std::string deep;
  for (int i = 0; i < 100; ++i) {
    deep += "<domain>";
  }
  CHECK(unsupported(deep));
  std::string crowded = "<domain>";
  for (int i = 0; i < 250'000; ++i) {
    crowded += "<a/>";
  }
  CHECK(unsupported(crowded + "</domain>"));
  CHECK(unsupported("<domain>" + std::string(kMaxDefinitionBytes, ' ') + "</domain>"));
}

TEST_CASE("odd but good XML is taken") {
  std::string deep = "<domain>";
  for (int i = 0; i < 95; ++i) {
    deep += "<a>";
  }
  for (int i = 0; i < 95; ++i) {
    deep += "</a>";
  }
  CHECK(complaint(deep + "</domain>") == "taken");
  CHECK(complaint("\xEF\xBB\xBF<?xml version='1.0' encoding='UTF-8'?>\n<domain/>") == "taken");
  CHECK(
      complaint("<!-- a --><?b c?>\n<domain a = \"'\" >\r\n<b c='&#x1F600;>'/></domain ><!---->") ==
      "taken");
  CHECK(complaint("<domain><devices/><devices><?p i?></devices></domain>") == "taken");
  const DomainDisk d =
      one_disk(disk("<?p i?><source file='/a&#32;&amp;&lt;b'/><target dev='vda'/>"));
  CHECK(d.image.path == "/a &<b");
}

TEST_CASE("escaping is undone by parsing") {
  const std::string odd = "a&b<c>d'e\"f\tg\nh é";
  for (const char quote : {'\'', '"'}) {
    const std::string q(1, quote);
    const DomainDisk d = one_disk(
        disk("<source file=" + q + escape_attribute(odd, quote) + q + "/><target dev='vda'/>"));
    CHECK(d.image.path == odd);
  }
}

TEST_CASE("monitors are read as people write them") {
  CHECK(parse_monitor("mon1") == CephMonitor{"mon1", 6789});
  CHECK(parse_monitor("192.0.2.1:3300") == CephMonitor{"192.0.2.1", 3300});
  CHECK(parse_monitor("[2001:db8::1]") == CephMonitor{"2001:db8::1", 6789});
  CHECK(parse_monitor("[::1]:3300") == CephMonitor{"::1", 3300});
  for (const char* bad : {"", ":1", "mon:", "mon:0", "mon:65536", "mon:x", "mon:1x", "::1", "[::1",
                          "[::1]x", "[]", "a,b", "a b", "mon:-1", "[::1]:"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_monitor(bad), Error);
  }
}

}  // namespace vmferry::test
