// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstring>
#include <span>
#include <string>

#include "lib/core/endian.h"
#include "lib/format/foreign/image_bytes.h"
#include "tests/unit/catch.h"
#include "tests/unit/prepared_images.h"

namespace vmferry::test {
namespace {

/// A footer of a VHD of this kind, with the size of its disk.
void put_vhd_footer(Bytes& vhd, size_t at, uint8_t kind, uint64_t disk_size) {
  std::memcpy(vhd.data() + at, "conectix", 8);
  put_big_endian(std::span(vhd).subspan(at + 48, 8), disk_size);
  vhd[at + 63] = std::byte{kind};
}

}  // namespace

TEST_CASE("images with parents that QEMU does not see are refused", "[foreign]") {
  SECTION("VHD") {
    Bytes vhd(4 * kSectorBytes);
    put_vhd_footer(vhd, 0, 4, 512);
    CHECK(said_of(prepare_vhd, vhd).find("differencing VHD") != std::string::npos);
    CHECK(said_of(prepare_vhd, Bytes(510)) != "");
    vhd[63] = std::byte{3};
    CHECK(said_of(prepare_vhd, vhd).find("header of a dynamic disk") != std::string::npos);
    vhd[22] = std::byte{2};  // at 512
    std::memcpy(vhd.data() + 512, "cxsparse", 8);
    vhd[512 + 22] = std::byte{4};  // the table at 1024, with one block of 512 bytes
    vhd[512 + 31] = std::byte{1};
    vhd[512 + 34] = std::byte{2};
    vhd[1024 + 3] = std::byte{2};
    CHECK(said_of(prepare_vhd, vhd) == "");
    vhd[1024 + 3] = std::byte{3};
    CHECK(said_of(prepare_vhd, vhd).find("the guest's data at 0") != std::string::npos);
  }
  SECTION("VDI") {
    Bytes vdi(8 * kSectorBytes);
    const auto put = [&vdi](size_t at, uint32_t value) { put_little_endian<4>(vdi, at, value); };
    put(0x4c, 1);
    put(0x154, 512);
    put(0x158, 1024);
    put(0x170, 3072);
    put(0x178, 1024);
    put(0x180, 3);
    put(512, 2);
    put(516, 0xffffffff);
    put(520, 0xfffffffe);
    CHECK(said_of(prepare_vdi, vdi) == "");
    put(520, 3);
    CHECK(said_of(prepare_vdi, vdi).find("the guest's data at 2 KiB") != std::string::npos);
    put(520, 0);
    put(0x1b8, 1);
    CHECK(said_of(prepare_vdi, vdi).find("differencing") != std::string::npos);
    put(0x1b8, 0);
    put(0x4c, 4);
    CHECK(said_of(prepare_vdi, vdi).find("differencing") != std::string::npos);
    put(0x4c, 2);
    put(0x180, 2);
    CHECK(said_of(prepare_vdi, vdi).find("do not cover") != std::string::npos);
    CHECK(said_of(prepare_vdi, Bytes(100)) != "");
  }
  SECTION("QED") {
    Bytes qed(2 * kSectorBytes);
    std::memcpy(qed.data(), "QED", 4);
    const auto put = [&qed](size_t at, uint64_t value) { put_little_endian<8>(qed, at, value); };
    put_little_endian<4>(qed, 4, 128);
    put_little_endian<4>(qed, 8, 1);
    put(40, 128);
    put(48, 256);
    put(128, 256);
    put(256, 384);
    put(264, 896);
    OpenGate gate;
    CHECK(gate.parents.empty());
    CHECK(said_of(prepare_qed, qed) == "");
    put(264, 897);
    CHECK(said_of(prepare_qed, qed).find("the guest's data at 128") != std::string::npos);
    put(264, 1);
    put(136, 1000);
    CHECK(said_of(prepare_qed, qed) == "");  // beyond the disk
    put(48, 4096);
    CHECK(said_of(prepare_qed, qed).find("L2 table") != std::string::npos);
    put(136, 256);
    put(144, 256);
    put(152, 256);
    put(160, 256);
    put(168, 256);
    put(176, 256);
    put(184, 256);
    put(48, 128 * 16 * 16);
    CHECK(said_of(prepare_qed, qed).find("lie over one another") != std::string::npos);
    for (size_t at = 136; at < 192; at += 8) {
      put(at, 0);
    }
    CHECK(said_of(prepare_qed, qed, gate) == "");
    CHECK(gate.parents.empty());
    qed[16] = std::byte{1};
    CHECK(said_of(prepare_qed, qed).find("impossible length") != std::string::npos);
    put_little_endian<4>(qed, 56, 600);
    put_little_endian<4>(qed, 60, 4);
    std::memcpy(qed.data() + 600, "base", 4);
    CHECK(said_of(prepare_qed, qed, gate) == "");
    qed[16] = std::byte{5};
    CHECK(said_of(prepare_qed, qed, gate) == "");
    CHECK(gate.parents == std::vector<std::string>{"base ?", "base raw"});
    put_little_endian<4>(qed, 56, 1022);
    CHECK(said_of(prepare_qed, qed, gate) != "");
  }
}

TEST_CASE("a VHD is of the kind that its footers' places say", "[foreign]") {
  Bytes dynamic(4 * kSectorBytes);
  put_vhd_footer(dynamic, 0, 2, 512);
  CHECK(said_of(prepare_vhd, dynamic).find("at 60: it begins with a footer") != std::string::npos);
  const auto fixed = [](uint8_t kind, uint64_t disk_size) {
    Bytes vhd(4 * kSectorBytes);
    put_vhd_footer(vhd, 3 * kSectorBytes, kind, disk_size);
    return vhd;
  };
  CHECK(said_of(prepare_vhd, fixed(2, 1536)) == "");
  CHECK(said_of(prepare_vhd, fixed(2, 1000)) == "");
  CHECK(said_of(prepare_vhd, fixed(2, 1537)).find("at 1536: here its disk ends") !=
        std::string::npos);
  CHECK(said_of(prepare_vhd, fixed(2, UINT64_MAX)) != "");
  CHECK(said_of(prepare_vhd, fixed(3, 1536)).find("at its end only") != std::string::npos);
  CHECK(said_of(prepare_vhd, fixed(0, 1536)) != "");
  CHECK(said_of(prepare_vhd, fixed(4, 1536)).find("differencing") != std::string::npos);

  OpenGate gate;
  const auto image = prepare_vhd(std::make_unique<MemorySource>(fixed(2, 1536)), gate);
  CHECK(image->size == 1536);
  CHECK(image->options.at("force_size_calc") == "current_size");
}

TEST_CASE("tables in a sparse file do not keep us busy for ever", "[foreign]") {
  const SparseDisk file(uint64_t{1} << 40);
  const auto walk = [&file](uint64_t entries) {
    TableWalker(file).walk({0, entries, 8, "table"}, [](uint64_t /*i*/, uint64_t /*e*/) {});
  };
  CHECK_NOTHROW(walk(1000));
  CHECK_THROWS_AS(walk(TableWalker::kMost / 8 + 1), Error);
  CHECK(file.bytes_read < 16000);
}

TEST_CASE("a Parallels image is checked for clusters beyond its end", "[foreign]") {
  const auto image = [](const char* mark, uint32_t place) {
    Bytes bytes(16 * kSectorBytes);
    std::memcpy(bytes.data(), mark, 16);
    put_little_endian<4>(bytes, 28, 4);
    put_little_endian<4>(bytes, 32, 2);
    put_little_endian<8>(bytes, 36, 6);
    put_little_endian<4>(bytes, 68, place);
    return bytes;
  };
  CHECK(said_of(prepare_parallels, image("WithoutFreeSpace", 14)) == "");
  CHECK(said_of(prepare_parallels, image("WithoutFreeSpace", 15)) != "");
  CHECK(said_of(prepare_parallels, image("WithouFreSpacExt", 3)) == "");
  CHECK(said_of(prepare_parallels, image("WithouFreSpacExt", 4)) != "");
  CHECK(said_of(prepare_parallels, image("WithouFreSpacExt", 0xffffffff)) != "");
  Bytes too_few = image("WithoutFreeSpace", 1);
  put_little_endian<8>(too_few, 36, 9);
  CHECK(said_of(prepare_parallels, too_few).find("do not cover the disk") != std::string::npos);
  Bytes no_clusters = image("WithoutFreeSpace", 1);
  put_little_endian<4>(no_clusters, 28, 0);
  CHECK(said_of(prepare_parallels, no_clusters) != "");
}

}  // namespace vmferry::test
