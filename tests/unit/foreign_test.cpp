// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstring>
#include <string>
#include <vector>

#include "lib/core/endian.h"
#include "lib/format/foreign/prepare.h"
#include "lib/format/foreign/vmdk_descriptor.h"
#include "tests/unit/catch.h"
#include "tests/unit/prepared_images.h"

namespace vmferry::test {
namespace {

/// A sparse VMDK of 256 sectors with grains of 8: two of them are there.
struct SparseVmdk {
  SparseVmdk() : bytes(64 * kSectorBytes) {
    std::memcpy(bytes.data(), "KDMV", 4);
    put<4>(4, 1);                         // version
    put<8>(12, 256);                      // sectors
    put<8>(20, 8);                        // of a grain
    put<8>(28, 1);                        // the descriptor
    put<8>(36, 20);                       // its sectors
    put<4>(44, 512);                      // entries of a table
    put<8>(56, 21);                       // directory
    put<4>(21 * kSectorBytes, 22);        // table
    put<4>(22 * kSectorBytes, 32);        // first grain
    put<4>(22 * kSectorBytes + 124, 48);  // last grain
    descriptor(
        "CID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n"
        "RW 256 SPARSE \"a.vmdk\"\n");
  }

  template <unsigned kBytes>
  void put(size_t offset, uint64_t value) {
    put_little_endian<kBytes>(bytes, offset, value);
  }
  void descriptor(const std::string& text) {
    std::memset(bytes.data() + kSectorBytes, 0, 20 * kSectorBytes);
    std::memcpy(bytes.data() + kSectorBytes, text.data(), text.size());
  }

  Bytes bytes;
};

}  // namespace

TEST_CASE("the descriptor of a VMDK is read as VMware and QEMU write it", "[foreign]") {
  const VmdkParse parsed = parse_vmdk_descriptor(
      "# Disk DescriptorFile\r\nversion=1\r\nCID=7a2f\r\nparentCID = FFFFFFFF\r\n"
      "createType=\"twoGbMaxExtentFlat\"\r\n\r\n# Extent description\r\n"
      "RW 4192256 FLAT \"a disk, 1-f001.vmdk\" 0\r\nRDONLY 7 FLAT \"b\" 9\r\nRW 5 ZERO\r\n"
      "#DDB\r\nddb.adapterType = \"ide\"\r\n");
  REQUIRE(parsed.cause.empty());
  const VmdkDescriptor& descriptor = parsed.descriptor;
  CHECK(descriptor.create_type == "twoGbMaxExtentFlat");
  CHECK(descriptor.cid == "00007a2f");
  CHECK_FALSE(descriptor.has_parent());
  REQUIRE(descriptor.extents.size() == 3);
  CHECK(descriptor.extents[0].file == "a disk, 1-f001.vmdk");
  CHECK(descriptor.extents[0].sectors == 4192256);
  CHECK(descriptor.extents[1].access == "RDONLY");
  CHECK(descriptor.extents[1].first_sector == 9);
  CHECK(descriptor.extents[2].type == "ZERO");
}

TEST_CASE("a descriptor that makes no sense says so", "[foreign]") {
  const auto cause = [](const std::string& text) { return parse_vmdk_descriptor(text).cause; };
  CHECK(cause("RW x FLAT \"a\" 0") != "");
  CHECK(cause("RW 0 FLAT \"a\" 0") != "");
  CHECK(cause("RW 99999999999999999999 FLAT \"a\" 0") != "");
  CHECK(cause("RW 1 FLAT \"a 0") != "");
  CHECK(cause("RW 1 FLAT \"\" 0") != "");
  CHECK(cause("RW 1 FLAT \"" + std::string(512, 'a') + "\" 0") != "");
  CHECK(cause("RW 1 FLAT \"a\" -1") != "");
  CHECK(cause("CID=xyz") != "");
  CHECK(cause("createType=\"a\"\ncreateType=\"b\"") != "");
  std::string many;
  for (size_t i = 0; i <= kMostVmdkExtents; ++i) {
    many += "RW 1 FLAT \"a\" 0\n";
  }
  CHECK(cause(many) != "");
}

TEST_CASE("a sparse VMDK is checked for grains beyond its end", "[foreign]") {
  OpenGate gate;
  CHECK(said_of(prepare_vmdk, SparseVmdk().bytes, gate) == "");

  SECTION("a grain") {
    SparseVmdk image;
    image.put<4>(22 * kSectorBytes, 57);  // ends a sector beyond
    CHECK(
        said_of(prepare_vmdk, image.bytes).find("at 29184: here should be the guest's data at 0") !=
        std::string::npos);
  }
  SECTION("the last grain") {
    SparseVmdk image;
    image.put<4>(22 * kSectorBytes + 124, 0xffffffff);
    CHECK(said_of(prepare_vmdk, image.bytes) != "");
  }
  SECTION("a table, or the directory") {
    SparseVmdk image;
    image.put<4>(21 * kSectorBytes, 64);
    CHECK(said_of(prepare_vmdk, image.bytes).find("grain table") != std::string::npos);
    image.put<8>(56, uint64_t{1} << 40);
    CHECK(said_of(prepare_vmdk, image.bytes).find("grain directory") != std::string::npos);
  }
  SECTION("sizes") {
    for (const size_t field : {size_t{12}, size_t{20}}) {
      for (const uint64_t value : {uint64_t{0}, UINT64_MAX}) {
        SparseVmdk image;
        image.put<8>(field, value);
        INFO(field << " " << value);
        CHECK(said_of(prepare_vmdk, image.bytes) != "");
      }
    }
    SparseVmdk image;
    image.put<4>(44, 0);
    CHECK(said_of(prepare_vmdk, image.bytes) != "");
  }
  SECTION("each length") {
    for (size_t length = 4; length < 56 * kSectorBytes; length += 100) {
      SparseVmdk image;
      image.bytes.resize(length);
      INFO(length);
      CHECK(said_of(prepare_vmdk, image.bytes) != "");
    }
  }
}

TEST_CASE("what a sparse VMDK says of other files is not followed unasked", "[foreign]") {
  SECTION("its parent goes through the gate") {
    SparseVmdk image;
    image.descriptor(
        "CID=1\nparentCID=12345678\nparentFileNameHint=\"base.vmdk\"\n"
        "createType=\"monolithicSparse\"\nRW 256 SPARSE \"a.vmdk\"\n");
    OpenGate gate;
    CHECK(said_of(prepare_vmdk, image.bytes, gate) == "");
    CHECK(gate.parents == std::vector<std::string>{"base.vmdk vmdk"});
  }
  SECTION("a parent without a name") {
    SparseVmdk image;
    image.descriptor("parentCID=12345678\nRW 256 SPARSE \"a.vmdk\"\n");
    CHECK(said_of(prepare_vmdk, image.bytes).find("does not name") != std::string::npos);
  }
  SECTION("more extents than itself") {
    SparseVmdk image;
    image.descriptor("RW 256 SPARSE \"a.vmdk\"\nRW 1 FLAT \"/etc/shadow\" 0\n");
    CHECK(said_of(prepare_vmdk, image.bytes).find("lists 2 extents") != std::string::npos);
  }
  SECTION("no data of its own") {  // QEMU would open the extents of its descriptor
    SparseVmdk image;
    image.put<8>(12, 0);
    CHECK(said_of(prepare_vmdk, image.bytes).find("names other files") != std::string::npos);
  }
  SECTION("one part of several") {
    SparseVmdk image;
    image.put<8>(28, 0);
    CHECK(said_of(prepare_vmdk, image.bytes).find("one part of a split") != std::string::npos);
  }
  SECTION("a descriptor where QEMU does not look") {
    SparseVmdk image;
    image.put<8>(28, 2);
    CHECK(said_of(prepare_vmdk, image.bytes) != "");
  }
}

TEST_CASE("a split VMDK is given to QEMU with files that were checked", "[foreign]") {
  const auto split = [](const std::string& extents, const std::string& type) {
    return "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"" + type +
           "\"\n" + extents;
  };
  OpenGate gate;
  gate.files["a-f1"] = Bytes(4 * kSectorBytes);
  gate.files["a-s1"] = SparseVmdk().bytes;

  SECTION("flat") {
    const auto image =
        prepare_vmdk(std::make_unique<MemorySource>(bytes_of_text(split(
                         "RW 2 FLAT \"a-f1\" 2\nRDONLY 4 FLAT \"a-f1\" 0\n", "monolithicFlat"))),
                     gate);
    REQUIRE(image->descriptor.size() == 3);
    CHECK(image->descriptor[0].text.find("RW 2 FLAT \"") != std::string::npos);
    CHECK(image->descriptor[1].text == "\" 2\nRW 4 FLAT \"");
    CHECK(image->descriptor[2].text == "\" 0\n");
    CHECK(image->descriptor[2].file == nullptr);
    CHECK(gate.extents == std::vector<std::string>{"a-f1", "a-f1"});
  }
  const auto said = [&](const std::string& extents, const std::string& type) {
    return said_of(prepare_vmdk, bytes_of_text(split(extents, type)), gate);
  };
  SECTION("sparse") {
    CHECK(said("RW 256 SPARSE \"a-s1\"\n", "twoGbMaxExtentSparse") == "");
    CHECK(said("RW 255 SPARSE \"a-s1\"\n", "twoGbMaxExtentSparse").find("256 sectors") !=
          std::string::npos);
    CHECK(said("RW 4 SPARSE \"a-f1\"\n", "twoGbMaxExtentSparse").find("is none") !=
          std::string::npos);
  }
  SECTION("a flat extent that was cut") {
    CHECK(said("RW 3 FLAT \"a-f1\" 2\n", "monolithicFlat").find("at 2 KiB: it ends here") !=
          std::string::npos);
  }
  SECTION("what QEMU would leave out in silence") {
    CHECK(said("RW 2 FLAT \"a-f1\" 0\nRW 5 ZERO\n", "monolithicFlat").find("RW ZERO") !=
          std::string::npos);
    CHECK(said("NOACCESS 5 FLAT \"a-f1\" 0\n", "monolithicFlat").find("NOACCESS") !=
          std::string::npos);
  }
  SECTION("types") {
    CHECK(said("RW 2 FLAT \"a-f1\" 0\n", "fullDevice").find("fullDevice") != std::string::npos);
    CHECK(said("", "monolithicFlat").find("no extents") != std::string::npos);
  }
  SECTION("a long text, or one with other bytes, may be a guest's disk") {
    CHECK(said("RW 2 FLAT \"a-f1\" 0\n" + std::string(70000, '#'), "monolithicFlat") == "");
    CHECK(said("RW 2 FLAT \"a-f1\" 0\n" + std::string(5, '\0') + "x", "monolithicFlat") == "");
    CHECK(gate.extents == std::vector<std::string>{"a-f1 guest", "a-f1 guest"});
  }
}

TEST_CASE("the footer of a stream-optimized VMDK is where QEMU looks", "[foreign]") {
  SparseVmdk image;
  const Bytes header(image.bytes.begin(), image.bytes.begin() + kSectorBytes);
  image.put<8>(56, UINT64_MAX);
  const size_t footer = image.bytes.size() - 2 * kSectorBytes;
  std::copy(header.begin(), header.end(), image.bytes.begin() + static_cast<ptrdiff_t>(footer));
  CHECK(said_of(prepare_vmdk, image.bytes) == "");
  // Both would be one footer for us, and another for QEMU.
  Bytes shifted = image.bytes;
  shifted.insert(shifted.begin() + static_cast<ptrdiff_t>(footer), 100, std::byte{0});
  CHECK(said_of(prepare_vmdk, shifted).find("a stream ends with") != std::string::npos);
  image.bytes.resize(1024);
  CHECK(said_of(prepare_vmdk, image.bytes).find("a stream ends with") != std::string::npos);
}

}  // namespace vmferry::test
