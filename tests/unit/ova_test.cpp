// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/ova.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "lib/format/foreign/ovf.h"
#include "lib/format/foreign/tar.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/open_gate.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

std::string octal(uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

/// A header with the right sum. `size` as it stands in the field of 12 bytes.
std::string tar_header(const std::string& name, const std::string& size, char type = '0') {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 7, "0000644");
  block.replace(124, size.size(), size);
  block[156] = type;
  block.replace(257, 8, std::string("ustar\0", 6) + "00");
  uint64_t sum = 8 * ' ';
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  block.replace(148, 7, octal(sum, 6) + '\0');
  block[155] = ' ';
  return block;
}

std::string tar_member(const std::string& name, const std::string& content, char type = '0') {
  std::string text = tar_header(name, octal(content.size(), 11), type) + content;
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

std::unique_ptr<MemorySource> archive_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return std::make_unique<MemorySource>(std::move(bytes));
}

std::string whole_text(const Source& source) {
  std::string text(source.size(), '\0');
  source.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

const std::string kTarEnd(1024, '\0');

std::string envelope(const std::string& files, const std::string& disks) {
  return "<?xml version='1.0'?><Envelope xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1'>"
         "<References>" +
         files + "</References><DiskSection>" + disks + "</DiskSection></Envelope>";
}

const std::string kTwo =
    envelope("<File ovf:id='f2' ovf:href='b.img'/><File ovf:id='f1' ovf:href='a.img'/>",
             "<Disk ovf:diskId='d1' ovf:fileRef='f1'/><Disk ovf:diskId='d2' ovf:fileRef='f2'/>");

/// What is read of an OVA, or the error's words and its hint.
std::string disk_in(const std::string& archive, std::optional<unsigned> wanted) {
  OpenGate gate;
  gate.wanted = wanted;
  try {
    return whole_text(*open_ova(archive_of(archive), gate));
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
}

}  // namespace

TEST_CASE("a tar archive is listed with the places of its files", "[foreign]") {
  const std::string archive =
      tar_member("a.ovf", "text") + tar_member("dir", "", '5') +
      tar_member("PaxHeader", "20 path=long name 1\n", 'x') +
      tar_member("short", std::string(600, 'x')) +
      tar_member("././@LongLink", std::string("another long name\0", 18), 'L') +
      tar_member("another", "y") + kTarEnd;
  const auto members = list_tar(*archive_of(archive));
  REQUIRE(members.size() == 3);
  CHECK(members[0].name == "a.ovf");
  CHECK(members[0].offset == 512);
  CHECK(members[0].length == 4);
  CHECK(members[1].name == "long name 1");
  CHECK(members[1].length == 600);
  CHECK(members[2].name == "another long name");
  CHECK(archive.substr(members[2].offset, 1) == "y");

  // Without the blocks at its end it is as good.
  CHECK(list_tar(*archive_of(archive.substr(0, archive.size() - 1024))).size() == 3);
}

TEST_CASE("a hostile tar archive is refused", "[foreign]") {
  const auto said = [](const std::string& archive) -> std::string {
    try {
      list_tar(*archive_of(archive));
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  CHECK(said(tar_member("a", std::string(600, 'x')).substr(0, 1023)) != "");
  CHECK(said(tar_header("a", "77777777777")).find("beyond the end") != std::string::npos);
  const std::string binary = std::string("\x80\0\0\0", 4);
  CHECK(said(tar_header("a", binary + std::string(8, '\xff'))).find("beyond the end") !=
        std::string::npos);
  CHECK(said(tar_header("a", std::string("\x80\1\0\0", 4) + std::string(8, '\0'))) != "");
  CHECK(said(tar_header("a", "-1")) != "");
  CHECK(said(tar_header("a", "12x")) != "");
  std::string damaged = tar_member("a", "b");
  damaged[0] = 'c';
  CHECK(said(damaged).find("here should be the header") != std::string::npos);
  CHECK(said(tar_member("p", "999 path=a\n", 'x')) != "");
  CHECK(said(tar_member("p", "2 \n", 'x')) != "");
  CHECK(said(tar_member("p", "path=a\n", 'x')) != "");
  CHECK(said(tar_member("p", "16 size=9999999\n", 'x') + tar_member("a", "b"))
            .find("beyond the end") != std::string::npos);
  CHECK(said(tar_header("p", "77777777", 'x') + std::string(1 << 24, ' ')).find("too long") !=
        std::string::npos);
  std::string many;
  for (int i = 0; i <= 4096; ++i) {
    many += tar_member("a", "");
  }
  CHECK(said(many).find("more than 4096") != std::string::npos);
}

TEST_CASE("the description of a machine tells its disks in order", "[foreign]") {
  const OvfParse parsed = parse_ovf(kTwo);
  REQUIRE(parsed.cause.empty());
  REQUIRE(parsed.disks.size() == 2);
  CHECK(parsed.disks[0].file == "a.img");
  CHECK(parsed.disks[1].file == "b.img");
  CHECK(parse_ovf("<Envelope").cause != "");
  CHECK(parse_ovf("<html/>").cause != "");
  CHECK(parse_ovf(envelope("", "<Disk ovf:diskId='d' ovf:fileRef='f'/>")).cause.find("'d'") !=
        std::string::npos);
  std::string deep;
  for (int i = 0; i < 100000; ++i) {
    deep += "<a>";
  }
  CHECK(parse_ovf(deep).cause != "");
}

TEST_CASE("a disk is read where it lies in an OVA", "[foreign]") {
  const std::string archive = tar_member("m.ovf", kTwo) + tar_member("b.img", "second") +
                              tar_member("a.img", "first") + kTarEnd;
  CHECK(disk_in(archive, 1) == "first");
  CHECK(disk_in(archive, 2) == "second");
  CHECK(disk_in(archive, std::nullopt)
            .find("has 2 disks | choose one with --disk N: "
                  "1: a.img, 2: b.img") != std::string::npos);
  CHECK(disk_in(archive, 3).find("choose disk 3") != std::string::npos);
  CHECK(disk_in(archive, 0).find("choose disk 0") != std::string::npos);

  const auto one = [](const std::string& file, const std::string& disk) {
    return tar_member("m.ovf", envelope("<File ovf:id='f' " + file + "/>",
                                        "<Disk ovf:diskId='d' " + disk + "/>")) +
           tar_member("a.img", "first") + kTarEnd;
  };
  const std::string reference = "ovf:fileRef='f'";
  CHECK(disk_in(one("ovf:href='a.img' ovf:compression='identity'", reference), {}) == "first");
  CHECK(disk_in(one("ovf:href='/etc/shadow'", reference), {}).find("no file of that name") !=
        std::string::npos);
  CHECK(disk_in(one("ovf:href='a.img' ovf:compression='gzip'", reference), {}).find("gzip") !=
        std::string::npos);
  CHECK(disk_in(one("ovf:href='a.img' ovf:chunkSize='5'", reference), {}).find("several files") !=
        std::string::npos);
  CHECK(disk_in(one("ovf:href='a.img'", reference + " ovf:parentRef='e'"), {}).find("changed") !=
        std::string::npos);
  CHECK(disk_in(one("ovf:href='a.img'", ""), {}).find("it is empty") != std::string::npos);
  CHECK(disk_in(tar_member("m.ovf", envelope("", "")), {}).find("no disks") != std::string::npos);
}

TEST_CASE("a damaged image in an OVA is not taken for a raw disk", "[foreign]") {
  const auto read = [](const std::string& name, const std::string& format,
                       const std::string& content) {
    return disk_in(
        tar_member("m.ovf", envelope("<File ovf:id='f' ovf:href='" + name + "'/>",
                                     "<Disk ovf:diskId='d' ovf:fileRef='f' " + format + "/>")) +
            tar_member(name, content) + kTarEnd,
        std::nullopt);
  };
  const std::string vmdk = "ovf:format='http://www.vmware.com/specifications/vmdk.html#sparse'";
  CHECK(read("a.img", "", "disk") == "disk");
  CHECK(read("a.img", vmdk, "KDMV") == "KDMV");
  CHECK(read("a.img", vmdk, "disk").find("calls it a VMDK") != std::string::npos);
  CHECK(read("a.img", vmdk + " ovf:volume-format='RAW'", "disk") == "disk");
  for (const char* name : {"a.vmdk", "a.vhd", "A.VHDX", "a.vdi"}) {
    CAPTURE(name);
    CHECK(read(name, "", "disk").find("its name is that of an image") != std::string::npos);
    CHECK(read(name, "", "KDMV") == "KDMV");
  }
}

}  // namespace vmferry::test
