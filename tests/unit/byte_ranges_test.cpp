// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/byte_ranges.h"

#include <random>
#include <vector>

#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

bool has(const ByteRanges& ranges, uint64_t offset) { return ranges.run_at(offset, 1).may_differ; }

}  // namespace

TEST_CASE("ranges that touch are one", "[ranges]") {
  ByteRanges ranges;
  CHECK(ranges.empty());
  ranges.add(10, 0);
  CHECK(ranges.empty());
  ranges.add(10, 10);
  ranges.add(30, 10);
  CHECK(ranges.count() == 2);
  CHECK(ranges.bytes() == 20);
  ranges.add(20, 10);
  CHECK(ranges.count() == 1);
  CHECK(ranges.run_at(0, 100).length == 10);
  CHECK_FALSE(ranges.run_at(0, 100).may_differ);
  CHECK(ranges.run_at(15, 100).length == 25);
  CHECK(ranges.run_at(15, 5).length == 5);
  CHECK(ranges.run_at(15, 5).may_differ);
  CHECK(ranges.run_at(40, 100).length == 100);
  CHECK_FALSE(has(ranges, 40));
}

TEST_CASE("ranges tell of all that was added", "[ranges]") {
  std::mt19937 random(7);
  for (const size_t most : {size_t{4}, size_t{50}, size_t{100000}}) {
    ByteRanges ranges(most);
    std::vector<bool> added(1 << 16);
    for (int i = 0; i < 300; ++i) {
      const unsigned offset = random() % (added.size() - 50);
      const unsigned length = random() % 50;
      ByteRanges one;
      one.add(offset, length);
      ranges.add(one);
      std::fill(added.begin() + offset, added.begin() + offset + length, true);
    }
    CHECK(ranges.count() <= most);
    for (size_t at = 0; at < added.size(); ++at) {
      if (added[at] != has(ranges, at) && (added[at] || most == 100000)) {
        FAIL("at " << at << ", of at most " << most);
      }
    }
  }
}

}  // namespace vmferry::test
