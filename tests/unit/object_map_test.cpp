// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>
#include <vector>

#include "lib/store/rbd/object_map.h"
#include "tests/unit/catch.h"

using namespace vmferry;

namespace {

using Runs = std::vector<std::pair<uint64_t, uint64_t>>;

// What "object_map_load" answered for a volume of ten objects, of which 0, 5 (only in a snapshot
// as well: clean) and 9 exist, and 6 is being removed.
std::vector<std::byte> encoded() {
  std::vector<std::byte> bytes;
  for (const int byte :
       {14,         0,          0,          0, 1, 1, 8, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0,  // header
        0b01000000, 0b00111000, 0b00010000,                                                // states
        0,          0,          0,          0}) {                                          // footer
    bytes.push_back(std::byte(byte));
  }
  return bytes;
}

Runs runs_of(const ObjectMap& map, uint64_t first, uint64_t end) {
  Runs runs;
  map.visit_runs(first, end, [&](uint64_t from, uint64_t to) { runs.emplace_back(from, to); });
  return runs;
}

}  // namespace

TEST_CASE("object map: runs of objects that exist or may exist") {
  const std::vector<std::byte> bytes = encoded();
  CHECK(bytes.size() == ObjectMap::encoded_bytes(10));
  const auto map = ObjectMap::parse(bytes, 10);
  REQUIRE(map);
  CHECK(runs_of(*map, 0, 10) == Runs{{0, 1}, {5, 7}, {9, 10}});
  CHECK(runs_of(*map, 1, 6) == Runs{{5, 6}});
  CHECK(runs_of(*map, 6, 10) == Runs{{6, 7}, {9, 10}});
  CHECK(runs_of(*map, 7, 9).empty());
  CHECK(runs_of(*map, 10, 10).empty());
}

TEST_CASE("object map: one that grew is as good, one that is too short tells nothing") {
  const std::vector<std::byte> bytes = encoded();
  const auto map = ObjectMap::parse(bytes, 6);
  REQUIRE(map);
  CHECK(runs_of(*map, 0, 6) == Runs{{0, 1}, {5, 6}});
  CHECK(!ObjectMap::parse(bytes, 11));
}

TEST_CASE("object map: what is none is not taken for one") {
  std::vector<std::byte> bytes = encoded();
  for (const size_t length : {0, 4, 17, 18, 20}) {
    CHECK(!ObjectMap::parse(std::span(bytes).first(length), 10));
  }
  bytes[5] = std::byte{2};  // a version that one of today cannot read
  CHECK(!ObjectMap::parse(bytes, 10));
  bytes = encoded();
  bytes[0] = std::byte{15};
  CHECK(!ObjectMap::parse(bytes, 10));
}
