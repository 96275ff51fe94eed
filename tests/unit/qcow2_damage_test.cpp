// SPDX-License-Identifier: LGPL-2.1-or-later
#include <random>

#include "tests/unit/qcow2_image.h"

using namespace vmferry;
using namespace vmferry::test::qcow2;

TEST_CASE("qcow2: damaged tables stop the read, and say where") {
  const auto entry = [](uint64_t raw, uint32_t version = 3) {
    return read_error(Image(16, 3 << 20, version).set(16, raw));
  };
  const std::string at = "img.qcow2: L2 entry for guest offset 1 MiB: ";
  CHECK(entry(0x00bc6000000000) ==
        at + "points to 207120502882304, past the end of the file (262144 bytes)");
  CHECK(entry(0x40000) == at + "points to 262144, past the end of the file (262144 bytes)");
  CHECK(entry(0x30200) == at + "points to 197120, which is not a multiple of the cluster size");
  CHECK(entry(0x30201) == at + "points to 197120, which is not a multiple of the cluster size");
  CHECK(entry(0x200) == at + "points to 512, which is not a multiple of the cluster size");
  CHECK(entry(1, 2) == at + "has a zero flag, which version 2 does not know");
  CHECK(entry(uint64_t{1} << 62 | 100) == at + "points to 100, into the header");
  CHECK(entry(uint64_t{1} << 62 | 0x40000) ==
        at + "points to 262144, past the end of the file (262144 bytes)");

  Image image(16, 1 << 20);
  CHECK(read_error(image.put(image.l1, 0x30000)) ==
        "img.qcow2: L1 entry for guest offset 0: points to 196608, past the end of the file "
        "(196608 bytes)");
  CHECK(read_error(image.put(image.l1, 0x200)) ==
        "img.qcow2: L1 entry for guest offset 0: points to 512, which is not a multiple of the "
        "cluster size");
}

TEST_CASE("qcow2: a damaged stream stops the read, and says where") {
  const std::string at = "img.qcow2: compressed cluster for guest offset 192 KiB: ";
  const auto stream = [](const Bytes& bytes, bool zstd = false) {
    Image image(16, 1 << 20);
    if (zstd) {
      image.zstd();
    }
    return read_error(image.stream(3, bytes));
  };
  const auto bytes = [](size_t size) { return pattern(size, 1); };
  const auto good = packed(ClusterCodec::kDeflate, bytes(65536));
  CHECK(stream(good) == "");
  CHECK(stream(Bytes(100, std::byte{0xff})) ==
        at + "the deflate stream is damaged (at 262144 in the file)");
  CHECK(stream(packed(ClusterCodec::kDeflate, bytes(65535))) ==
        at + "the deflate stream gives less than a cluster (at 262144 in the file)");
  CHECK(stream(Bytes(good.begin(), good.begin() + 20)) ==
        at + "the deflate stream is cut short (at 262144 in the file)");
  CHECK(stream(packed(ClusterCodec::kZstd, bytes(65537)), true) ==
        at + "the zstd frame gives more than a cluster (at 262144 in the file)");
  CHECK(stream(good, true) == at + "the zstd stream is damaged (at 262144 in the file)");
}

TEST_CASE("qcow2: a stream may be said to go on behind the end of the file") {
  Image image(16, 1 << 20);
  image.expect(3, pattern(65536, 4));
  image.stream(3, packed(ClusterCodec::kDeflate, pattern(65536, 4)), 50);
  CHECK(read_all(*image.open()) == image.guest);
}

TEST_CASE("qcow2: a file cut anywhere gives the disk or an Error, never zeros for data") {
  Image image(9, 9 << 9);
  image.data(0).zero(3).kept(4).compressed(5).compressed(6).data(8).compressed(7);
  for (size_t size = 0; size <= image.bytes.size(); ++size) {
    const auto file =
        std::make_shared<MemorySource>(Bytes(image.bytes.begin(), image.bytes.begin() + size));
    const std::string error = error_of([&] {
      const Bytes all = read_all(*Image::open_bytes(file));  // may throw; REQUIRE would catch it
      REQUIRE(all == image.guest);
    });
    if (size == image.bytes.size()) {
      CHECK(error == "");
    }
    if (size <= image.bytes.size() - 30) {
      CHECK(error != "");
    }
  }
}

TEST_CASE("qcow2: random damage gives an answer or an Error", "[alone]") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 4000; ++round) {
    Image image = every_kind(9, round % 2 == 0, 100);
    for (int i = 0; i < 3; ++i) {
      image.put(random() % (image.bytes.size() - 8), random(), 1);
    }
    image.put(24, image.size);  // a disk of exabytes is right, but long to read
    try {
      const auto disk = image.open();
      extents(*disk);
      read_all(*disk);
      disk->prefetch(0, disk->size());
    } catch (const Error&) {
    }
  }
}
