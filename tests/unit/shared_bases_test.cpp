// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/shared_bases.h"

#include <algorithm>

#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

constexpr uint32_t kMiB = 1 << 20;

/// A letter for each block of 4 MiB; '-' is zero.
std::shared_ptr<const DiskDigest> digest(const std::string& blocks) {
  auto made = std::make_shared<DiskDigest>(blocks.size() * DiskDigest::kBlock);
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] != '-') {
      made->set(i, {4 * kMiB, static_cast<uint64_t>(blocks[i])});
    }
  }
  return made;
}

DiskImageOnHost flat(std::string path, const std::string& blocks) {
  const auto letters = static_cast<uint64_t>(
      std::count_if(blocks.begin(), blocks.end(), [](char c) { return c != '-'; }));
  return {std::move(path), {}, letters * 4 * kMiB, digest(blocks)};
}

}  // namespace

TEST_CASE("overlays of one image share it") {
  const std::vector<DiskImageOnHost> disks = {{"/a", "/golden", 3 * kMiB, nullptr},
                                              {"/golden", "", 100 * kMiB, nullptr},
                                              {"/b", "/middle", 2 * kMiB, nullptr},
                                              {"/middle", "/golden", 5 * kMiB, nullptr},
                                              {"/alone", "/other", kMiB, nullptr}};
  const auto bases = find_shared_bases(disks);
  REQUIRE(bases.size() == 1);
  CHECK(bases[0].path == "/golden");
  CHECK(bases[0].data_bytes == 100 * kMiB);
  CHECK_FALSE(bases[0].is_disk);
  REQUIRE(bases[0].sharers.size() == 2);
  CHECK(bases[0].sharers[0].disk == 0);
  CHECK(bases[0].sharers[0].own_bytes == 3 * kMiB);
  CHECK(bases[0].sharers[1].disk == 2);
  CHECK(bases[0].sharers[1].own_bytes == 7 * kMiB);
  CHECK(bases[0].saved_bytes() == 100 * kMiB);
}

TEST_CASE("nobody knows how much a base that was not looked at saves") {
  const auto bases =
      find_shared_bases({{"/a", "/elsewhere", kMiB, nullptr}, {"/b", "/elsewhere", kMiB, nullptr}});
  REQUIRE(bases.size() == 1);
  CHECK(bases[0].data_bytes == 0);
  CHECK(bases[0].saved_bytes() == 0);
}

TEST_CASE("flat disks of the same content share the best of them") {
  const std::vector<DiskImageOnHost> disks = {flat("/x", "ABCDxxxx"), flat("/y", "ABCDEFGH"),
                                              flat("/z", "ABCDEFGz"), flat("/n", "nnnnnnnn"),
                                              flat("/empty", "--------")};
  const auto bases = find_shared_bases(disks);
  REQUIRE(bases.size() == 1);
  CHECK(bases[0].path == "/y");
  CHECK(bases[0].is_disk);
  REQUIRE(bases[0].sharers.size() == 3);
  CHECK(bases[0].sharers[0].common_bytes == 16 * kMiB);
  CHECK(bases[0].sharers[0].own_bytes == 16 * kMiB);
  CHECK(bases[0].sharers[2].common_bytes == 28 * kMiB);
  CHECK(bases[0].saved_bytes() == 44 * kMiB);
  // The same blocks at other places are of no use.
  CHECK(find_shared_bases({flat("/x", "ABCD"), flat("/y", "DABC")}).empty());
  // Nor is a block of many.
  CHECK(find_shared_bases({flat("/x", "Abcdefghijklmnopqrst"), flat("/y", "A1234567890!%&/()=?+")})
            .empty());
}

TEST_CASE("a flat copy joins those over its base") {
  const std::vector<DiskImageOnHost> disks = {{"/a", "/golden", kMiB, nullptr},
                                              flat("/golden", "ABCD"),
                                              flat("/copy", "ABCx"),
                                              flat("/copy2", "ABCx")};
  const auto bases = find_shared_bases(disks);
  REQUIRE(bases.size() == 1);
  CHECK(bases[0].path == "/golden");
  REQUIRE(bases[0].sharers.size() == 3);
  CHECK(bases[0].sharers[0].is_over_it);
  CHECK(bases[0].sharers[1].common_bytes == 12 * kMiB);
  CHECK(bases[0].saved_bytes() == (16 + 12 + 12 - 16) * kMiB);
}

TEST_CASE("a chain that comes back to itself has no base") {
  CHECK(find_shared_bases({{"/a", "/b", kMiB, nullptr},
                           {"/b", "/a", kMiB, nullptr},
                           {"/c", "/a", kMiB, nullptr},
                           {"/d", "/a", kMiB, nullptr}})
            .empty());
}

}  // namespace vmferry::test
