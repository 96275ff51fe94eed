// SPDX-License-Identifier: LGPL-2.1-or-later

#include "lib/image/whole_sectors.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"

namespace vmferry::test {
namespace {

std::unique_ptr<Source> odd_image(uint64_t size) {
  auto disk = std::make_unique<SparseDisk>(size);
  std::vector<std::byte> last(size % 4096, std::byte{7});
  disk->put(size - last.size(), last);
  return disk;
}

std::vector<std::byte> bytes_of(const Source& source) {
  std::vector<std::byte> bytes(source.size());
  source.read_at(0, bytes);
  return bytes;
}

}  // namespace

TEST_CASE("a guest sees whole sectors") {
  CHECK(guest_bytes(ImageFormat(), 1025) == 1536);
  CHECK(guest_bytes(ImageFormat(), 1024) == 1024);
  CHECK(guest_bytes(ImageFormat(), 0) == 0);
  CHECK(guest_bytes(*find_format("qcow2"), 1025) == 1024);
}

TEST_CASE("the last sector of a raw image is filled up with zeros") {
  const auto source = in_whole_sectors(odd_image(8193), ImageFormat());
  REQUIRE(source->size() == 8704);
  const std::vector<std::byte> bytes = bytes_of(*source);
  CHECK(bytes[8192] == std::byte{7});
  CHECK(std::count(bytes.begin() + 8193, bytes.end(), std::byte{0}) == 511);
  CHECK(source->extent_at(8193, 511) == Extent{8193, 511, ExtentKind::kZero});
  CHECK(source->extent_at(8192, 512).length == 1);
  uint64_t covered = 0;
  while (covered < 8704) {
    const Extent extent = source->extent_at(covered, 8704 - covered);
    CHECK(extent.offset == covered);
    covered = extent.end();
  }
  CHECK(covered == 8704);
  source->prefetch(0, 8704);
  std::vector<std::byte> beyond(100, std::byte{9});
  source->read_at(8604, beyond);
  CHECK(beyond == std::vector<std::byte>(100));
}

TEST_CASE("the last piece of a qcow2 image is cut off") {
  const auto source = in_whole_sectors(odd_image(8193), *find_format("qcow2"));
  REQUIRE(source->size() == 8192);
  CHECK(source->extent_at(4096, 4096).end() <= 8192);
  CHECK(bytes_of(*source).size() == 8192);
}

}  // namespace vmferry::test
