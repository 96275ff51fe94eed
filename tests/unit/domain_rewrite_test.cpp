// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

std::string text_with(const std::string& disks) {
  return "<domain type='kvm'>\n  <devices>\n" + disks + "  </devices>\n</domain>\n";
}

Domain domain_of(const std::string& disks) { return parse_domain(text_with(disks), "t"); }

DiskMove to_rbd(std::string disk = "vda", std::string image = "i") {
  return {.disk = std::move(disk), .to = RbdTarget{.pool = "p", .image = std::move(image)}};
}

/// What becomes of the only disk, vda.
std::string moved(const std::string& disk, const DiskMove& move = to_rbd()) {
  return rewrite_disk(domain_of(disk), move);
}

ErrorKind refusal(const std::string& disk, const DiskMove& move = to_rbd()) {
  try {
    moved(disk, move);
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("not refused");
  return ErrorKind::kIo;
}

DiskMove with_target(RbdTarget target) { return {.disk = "vda", .to = std::move(target)}; }

const std::string kDisk =
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/i'/>"
    "<target dev='vda' bus='virtio'/></disk>";

/// kDisk with `before` put in before its <target>.
std::string with(const std::string& before) {
  std::string text = kDisk;
  return text.insert(text.find("<target"), before);
}

const std::string kMoved =
    "<disk type='network' device='disk'><driver name='qemu' type='raw' discard='unmap'/>"
    "<source protocol='rbd' name='p/i'/><target dev='vda' bus='virtio'/></disk>";

}  // namespace

TEST_CASE("what was true of the old image only goes") {
  CHECK(moved(kDisk) == kMoved);
  for (const char* gone :
       {"<backingStore type='file'><format type='raw'/><source file='/b'/></backingStore>",
        "<backingStore type='file'/>", "<mirror type='file' job='copy'/>",
        "<alias name='virtio-disk0'/>", "<privateData><x/></privateData>",
        "<auth username='u'><secret type='iscsi' usage='x'/></auth>"}) {
    CAPTURE(gone);
    CHECK(moved(with(gone)) == kMoved);
  }
  for (const char* source :
       {"<source file='/i' startupPolicy='optional' index='4'/>",
        "<source file='/i'><slices><slice type='storage' offset='0' size='512'/></slices></source>",
        "<source file='/i'><seclabel model='dac' relabel='no'/><privateData/></source>",
        "<source file='/i'><reservations managed='yes'/></source>",
        "<source file='/i'><dataStore type='file'><source file='/d'/></dataStore></source>"}) {
    CAPTURE(source);
    std::string text = kDisk;
    text.replace(text.find("<source"), std::string("<source file='/i'/>").size(), source);
    CHECK(moved(text) == kMoved);
  }
  std::string scsi = kDisk;
  scsi.insert(scsi.find(" device"), " sgio='filtered' rawio='yes'");
  CHECK(moved(scsi) == kMoved);
}

TEST_CASE("two disks on one image do not become two volumes") {
  std::string second = kDisk;
  second.replace(second.find("vda"), 3, "vdb");
  const Domain domain = domain_of(kDisk + second);
  const std::vector<DiskMove> both = {to_rbd("vda", "a"), to_rbd("vdb", "b")};
  CHECK_THROWS_WITH(rewrite_disks(domain, both), Contains("is on /i, and so is vdb"));
  // Nor one of them a volume, while the other one stays.
  CHECK_THROWS_WITH(rewrite_disks(domain, std::span(both).first(1)), Contains("and so is"));
}

TEST_CASE("a disk that libvirt itself has moved becomes what rewriting makes of it") {
  const auto settled = [](const std::string& disk) {
    const Domain domain = domain_of(disk);
    const DiskMove move = to_rbd();
    const std::string once = rewrite_moved_disks(domain, {&move, 1});
    CHECK(rewrite_moved_disks(parse_domain(once, "t"), {&move, 1}) == once);
    return once;
  };
  // What a pivot leaves: another image, and all that was said of the old one's driver.
  const std::string pivoted =
      "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none' io='native' "
      "copy_on_read='on'><metadata_cache><max_size unit='bytes'>1</max_size></metadata_cache>"
      "</driver><source protocol='rbd' name='p/i' index='3' startupPolicy='optional'/>"
      "<backingStore/><target dev='vda' bus='virtio'/></disk>";
  const std::string wanted =
      "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none' "
      "discard='unmap'/><source protocol='rbd' name='p/i'/><backingStore/><target dev='vda' "
      "bus='virtio'/></disk>";
  CHECK(settled(pivoted) == text_with(wanted));
  CHECK(settled(kMoved) == text_with(kMoved));
  CHECK(settled(kDisk) == text_with(kMoved));
}

TEST_CASE("what still makes sense stays, byte for byte") {
  for (const char* kept :
       {"<serial>A&#66; C</serial>", "<wwn>5000c50015ea71ac</wwn>", "<vendor  >V</vendor>",
        "<boot order=\"1\"/>", "<address type='pci' slot = '0x05'/>", "<backingStore/>",
        "<alias name='ua-mine'/>", "<readonly></readonly>",
        "<blockio logical_block_size='512' physical_block_size='4096'/>",
        "<iotune>\n<total_iops_sec>1</total_iops_sec></iotune>", "<!-- mine -->",
        "<throttlefilters><filter group='x'/></throttlefilters>", "<?p i?>", "<![CDATA[ ]]>"}) {
    CAPTURE(kept);
    std::string expected = kMoved;
    CHECK(moved(with(kept)) == expected.insert(expected.find("<target"), kept));
  }
}

TEST_CASE("the driver keeps what is not about formats and files") {
  const auto driver = [](const std::string& attributes, DriverOptions options = {}) {
    std::string text = kDisk;
    text.replace(text.find("name='qemu' type='raw'"), 22, attributes);
    DiskMove move = to_rbd();
    move.driver = std::move(options);
    const std::string out = moved(text, move);
    const size_t begin = out.find("<driver ") + 8;
    return out.substr(begin, out.find("/>", begin) - begin);
  };
  CHECK(driver("type='vmdk'") == "name='qemu' type='raw' discard='unmap'");
  CHECK(driver("name='file' type='raw'") == "name='qemu' type='raw' discard='unmap'");
  CHECK(driver("name='qemu' type='qcow2' io='native' cache='none' copy_on_read='on' "
               "discard_no_unref='on' discard='ignore'") ==
        "name='qemu' type='raw' cache='none' discard='ignore'");
  CHECK(driver("type='raw' queues='2' iothread='1' packed='on' rerror_policy='stop' "
               "detect_zeroes='on'") ==
        "name='qemu' type='raw' rerror_policy='stop' discard='unmap' queues='2' iothread='1' "
        "packed='on' detect_zeroes='on'");
  // New ones stand where libvirt prints them.
  CHECK(driver("name='qemu' type='raw' queues='2'", {.detect_zeroes = "on"}) ==
        "name='qemu' type='raw' discard='unmap' detect_zeroes='on' queues='2'");
  CHECK(driver("name='qemu' type='raw' cache='none'",
               {.cache = "writeback", .discard = "ignore", .detect_zeroes = "on"}) ==
        "name='qemu' type='raw' cache='writeback' discard='ignore' detect_zeroes='on'");
  CHECK(driver("name='qemu' type='raw' detect_zeroes='on'", {.discard = "", .detect_zeroes = ""}) ==
        "name='qemu' type='raw'");
  CHECK(driver("name='qemu' type='raw'", for_live_copy({})) ==
        "name='qemu' type='raw' discard='unmap' detect_zeroes='unmap'");
  CHECK(driver("name='qemu' type='raw' discard='ignore'", for_live_copy({.detect_zeroes = "on"})) ==
        "name='qemu' type='raw' discard='unmap' detect_zeroes='on'");
  CHECK(driver("name='qemu' type='raw' cache='none'", {.io = "native"}) ==
        "name='qemu' type='raw' cache='none' io='native' discard='unmap'");
}

TEST_CASE("driver options that libvirt refuses are refused") {
  for (const DriverOptions& options :
       {DriverOptions{.cache = "fast"}, DriverOptions{.io = "Native"},
        DriverOptions{.io = "native"}, DriverOptions{.discard = "on"},
        DriverOptions{.detect_zeroes = "yes"}}) {
    DiskMove move = to_rbd();
    move.driver = options;
    CHECK(refusal(kDisk, move) == ErrorKind::kUsage);
  }
}

TEST_CASE("the new text follows the indentation and the quotes of the old") {
  const std::string out =
      rewrite_disks(domain_of("\t<disk type=\"file\">\r\n\t\t<source file=\"/i\"/>\r\n"
                              "\t\t<target dev='vda'/>\r\n\t</disk>\r\n"),
                    std::vector{with_target({.pool = "p",
                                             .image = "i",
                                             .monitors = {{"::1", 3300}, {"mon", 6789}},
                                             .id = "u",
                                             .secret_usage = "it's \"x\" & <y>",
                                             .conf = "/etc/c"})});
  CHECK(out ==
        text_with("\t<disk type=\"network\">\r\n"
                  "\t\t<driver name=\"qemu\" type=\"raw\" discard=\"unmap\"/>\r\n"
                  "\t\t<source protocol=\"rbd\" name=\"p/i\">\r\n"
                  "\t\t\t<host name=\"::1\" port=\"3300\"/>\r\n"
                  "\t\t\t<host name=\"mon\" port=\"6789\"/>\r\n"
                  "\t\t\t<config file=\"/etc/c\"/>\r\n"
                  "\t\t\t<auth username=\"u\">\r\n"
                  "\t\t\t\t<secret type=\"ceph\" usage=\"it's &quot;x&quot; &amp; &lt;y&gt;\"/>\r\n"
                  "\t\t\t</auth>\r\n"
                  "\t\t</source>\r\n"
                  "\t\t<target dev='vda'/>\r\n\t</disk>\r\n"));
}

TEST_CASE("a child goes with the line it stands on") {
  CHECK(
      moved("<disk type='file'>\n <source file='/i'/>\n <!-- b -->\n <backingStore type='file'>\n"
            "  <source file='/b'/>\n </backingStore>\n <target dev='vda'/>\n <mirror/>\n</disk>") ==
      "<disk type='network'>\n <driver name='qemu' type='raw' discard='unmap'/>\n"
      " <source protocol='rbd' name='p/i'/>\n <!-- b -->\n <target dev='vda'/>\n</disk>");
}

TEST_CASE("a nested driver keeps its children, but not those of formats") {
  CHECK(moved("  <disk type='file'>\n    <driver name='qemu' type='qcow2' iothread='2'>\n"
              "      <metadata_cache>\n        <max_size unit='bytes'>1</max_size>\n"
              "      </metadata_cache>\n      <iothreads>\n        <iothread id='2'>\n"
              "          <queue id='1'/>\n        </iothread>\n      </iothreads>\n    </driver>\n"
              "    <source file='/i'/>\n    <target dev='vda'/>\n  </disk>") ==
        "<disk type='network'>\n    <driver name='qemu' type='raw' discard='unmap' iothread='2'>\n"
        "      <iothreads>\n        <iothread id='2'>\n          <queue id='1'/>\n"
        "        </iothread>\n      </iothreads>\n    </driver>\n"
        "    <source protocol='rbd' name='p/i'/>\n    <target dev='vda'/>\n  </disk>");
}

TEST_CASE("disks that stay are refused by name") {
  CHECK(refusal("<disk type='file' device='cdrom'><source file='/i'/><target dev='vda'/></disk>") ==
        ErrorKind::kUnsupported);
  CHECK(refusal(with("<shareable/>")) == ErrorKind::kUnsupported);
  CHECK(refusal(kDisk, to_rbd("vdb")) == ErrorKind::kNotFound);
  const std::string encrypted = with("<encryption format='luks'/>");
  CHECK(refusal(encrypted) == ErrorKind::kUnsupported);
  DiskMove plain = to_rbd();
  plain.drop_encryption = true;
  CHECK(moved(encrypted, plain) == kMoved);
  Domain xen = domain_of(kDisk);
  xen.type = "xen";
  CHECK_THROWS_AS(rewrite_disk(xen, to_rbd()), Error);
}

TEST_CASE("a domain whose text was changed after it was read is refused") {
  Domain copy = domain_of(kDisk);
  const Domain whole = copy;
  copy.text.insert(0, "<!-- -->");
  const std::vector<DiskMove> moves = {to_rbd()};
  CHECK_THROWS_AS(rewrite_disks(copy, moves), Error);
  CHECK_THROWS_AS(restore_disks(copy, whole, std::vector<std::string>{"vda"}), Error);
  copy = whole;
  copy.disks.clear();
  copy.disks.resize(2, whole.disks.front());
  CHECK_THROWS_AS(rewrite_disks(copy, moves), Error);
  CHECK(rewrite_disks(whole, moves) == rewrite_disks(domain_of(kDisk), moves));
}

TEST_CASE("targets that make no sense are refused") {
  const std::string uuid = "6a1b2c3d-0f4e-4a5b-8c6d-7e8f90a1b2c3";
  for (const RbdTarget& target :
       {RbdTarget{.pool = "", .image = "i"}, RbdTarget{.pool = "p", .image = ""},
        RbdTarget{.pool = "p/ns", .image = "i"}, RbdTarget{.pool = "p", .image = "ns/i"},
        RbdTarget{.pool = "p", .image = "i@s"}, RbdTarget{.pool = "p", .image = "a\nb"},
        RbdTarget{.pool = "p", .image = "\xff"},
        RbdTarget{.pool = "p", .image = "i", .secret_uuid = uuid},
        RbdTarget{.pool = "p", .image = "i", .secret_usage = "s"},
        RbdTarget{.pool = "p", .image = "i", .id = "u"},
        RbdTarget{.pool = "p", .image = "i", .id = "client.u", .secret_uuid = uuid},
        RbdTarget{.pool = "p", .image = "i", .id = "u", .secret_uuid = "6a1b"},
        RbdTarget{.pool = "p", .image = "i", .id = "u", .secret_uuid = uuid, .secret_usage = "s"},
        RbdTarget{.pool = "p", .image = "i", .monitors = {{"[::1]", 1}}},
        RbdTarget{.pool = "p", .image = "i", .monitors = {{"", 1}}},
        RbdTarget{.pool = "p", .image = "i", .monitors = {{"m", 0}}},
        RbdTarget{.pool = "p", .image = "i", .conf = "ceph.conf"}}) {
    CHECK(refusal(kDisk, with_target(target)) == ErrorKind::kUsage);
  }
}

TEST_CASE("no two disks get one image") {
  const std::string other =
      "<disk type='network'><source protocol='rbd' name='p/taken'/><target dev='vdb'/></disk>";
  const std::string third = "<disk type='file'><source file='/j'/><target dev='vdc'/></disk>";
  const Domain domain = domain_of(kDisk + other + third);
  const auto rewrite = [&](std::vector<DiskMove> moves) { return rewrite_disks(domain, moves); };
  CHECK_THROWS_WITH(rewrite({to_rbd("vda", "taken")}), "t: vdb: is on rbd:p/taken already");
  CHECK_THROWS_WITH(rewrite({to_rbd("vda", "i"), to_rbd("vdc", "i")}),
                    "t: vdc: rbd:p/i is the target of another disk as well");
  CHECK_THROWS_WITH(rewrite({to_rbd("vda", "i"), to_rbd("vda", "j")}), "t: vda: is named twice");
  const std::string out = rewrite({to_rbd("vdc", "c"), to_rbd("vda", "a")});
  const Domain after = parse_domain(out, "t");
  CHECK(after.find_disk("vda")->image.name == "p/a");
  CHECK(after.find_disk("vdb")->image.name == "p/taken");
  CHECK(after.find_disk("vdc")->image.name == "p/c");
}

TEST_CASE("the way back to a file") {
  const std::string there =
      "<disk type='network' device='disk'><driver name='qemu' type='raw' discard='unmap'/>"
      "<auth username='u'><secret type='ceph' usage='s'/></auth>"
      "<source protocol='rbd' name='p/i'><host name='m' port='1'/></source>"
      "<target dev='vda' bus='virtio'/></disk>";
  const auto back = [&](std::string path, std::string format) {
    return moved(there, {.disk = "vda", .to = FileTarget{std::move(path), std::move(format)}});
  };
  CHECK(back("/a&b.qcow2", "qcow2") ==
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/>"
        "<source file='/a&amp;b.qcow2'/><target dev='vda' bus='virtio'/></disk>");
  CHECK(back("/dev/vg0/i", "raw") ==
        "<disk type='block' device='disk'><driver name='qemu' type='raw' discard='unmap'/>"
        "<source dev='/dev/vg0/i'/><target dev='vda' bus='virtio'/></disk>");
  const DiskMove to_file{.disk = "vda", .to = FileTarget{"/x", "raw"}};
  CHECK(refusal(kDisk, to_file) == ErrorKind::kUnsupported);
  CHECK(refusal(there, {.disk = "vda", .to = FileTarget{"x", "raw"}}) == ErrorKind::kUsage);
  CHECK(refusal(there, {.disk = "vda", .to = FileTarget{"/x", "vmdk"}}) == ErrorKind::kUsage);
}

TEST_CASE("from one volume to another") {
  const std::string there =
      "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>"
      "<source protocol='rbd' name='p/i'><host name='m' port='1'/><config file='/c'/>"
      "<auth username='u'><secret type='ceph' usage='s'/></auth></source>"
      "<target dev='vda' bus='virtio'/></disk>";
  CHECK(moved(there, to_rbd("vda", "j")) ==
        "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none' "
        "discard='unmap'/><source protocol='rbd' name='p/j'/>"
        "<target dev='vda' bus='virtio'/></disk>");
  std::string of_snapshot = there;
  of_snapshot.replace(of_snapshot.find("<host"), 0, "<snapshot name='s'/>");
  CHECK(refusal(of_snapshot, to_rbd("vda", "j")) == ErrorKind::kUnsupported);
}

TEST_CASE("a disk that is there already stays as it is") {
  const std::string odd =
      "<disk   type=\"network\"><source protocol='rbd'\nname=\"p/i\"/><target dev='vda'/></disk>";
  CHECK(moved(odd) == odd);
  const std::string file =
      "<disk type='file'><driver type='qcow2'/><source file='/x'/><target dev='vda'/></disk>";
  CHECK(moved(file, {.disk = "vda", .to = FileTarget{"/x", "qcow2"}}) == file);
  const std::string snapshot =
      "<disk type='network'><source protocol='rbd' name='p/i'><snapshot name='s'/></source>"
      "<target dev='vda'/></disk>";
  CHECK(refusal(snapshot) == ErrorKind::kUnsupported);
}

}  // namespace vmferry::test
