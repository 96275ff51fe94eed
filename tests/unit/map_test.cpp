// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/map.h"

#include <stdexcept>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"

using namespace vmferry;

namespace {

std::vector<MappedExtent> map_of(const Source& source) {
  std::vector<MappedExtent> extents;
  map_source(source, [&](const MappedExtent& extent) { extents.push_back(extent); });
  return extents;
}

/// Tells a map that was written down before.
class ToldMap : public Source, public Layout {
 public:
  explicit ToldMap(std::vector<MappedExtent> extents) : extents_(std::move(extents)) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return extents_.empty() ? 0 : extents_.back().end(); }
  Extent extent_at(uint64_t, uint64_t) const override { throw std::logic_error("not asked for"); }
  void read_at(uint64_t, std::span<std::byte>) const override {
    throw std::logic_error("a map reads no data");
  }
  void map(uint64_t, uint64_t, const MapVisitor& visit) const override {
    for (const MappedExtent& extent : extents_) {
      visit(extent);
    }
  }

 private:
  const std::string name_ = "told";
  const std::vector<MappedExtent> extents_;
};

}  // namespace

TEST_CASE("a source that knows nothing of its layout is mapped as its extents") {
  const test::PictureSource disk("64K:A 64K:B 1M:- 4K:C");
  const auto map = map_of(disk);
  REQUIRE(map.size() == 3);
  CHECK(map[0] == MappedExtent{.offset = 0,
                               .length = 131072,
                               .kind = MappedKind::kData,
                               .is_present = true,
                               .file = "picture"});
  CHECK(map[1].kind == MappedKind::kHole);
  CHECK(map[1].length == 1 << 20);
  CHECK(map[2].offset == 131072 + (1 << 20));
}

TEST_CASE("runs that go on are joined, others are not") {
  using K = MappedKind;
  const ToldMap disk({
      {.offset = 0, .length = 10, .kind = K::kData, .is_present = true, .host_offset = 100},
      {.offset = 10, .length = 10, .kind = K::kData, .is_present = true, .host_offset = 110},
      {.offset = 20, .length = 10, .kind = K::kData, .is_present = true, .host_offset = 200},
      {.offset = 30, .length = 10, .kind = K::kData, .is_present = true},
      {.offset = 40, .length = 10, .kind = K::kData, .is_present = true, .depth = 1},
      {.offset = 50, .length = 10, .kind = K::kZero, .is_present = true, .depth = 1},
      {.offset = 60, .length = 10, .kind = K::kHole, .is_present = true, .depth = 1},
      {.offset = 70, .length = 10, .kind = K::kHole, .depth = 1},
      {.offset = 80, .length = 10, .kind = K::kHole, .depth = 1},
      {.offset = 90, .length = 10, .kind = K::kHole, .depth = 1, .file = "other"},
  });
  const auto map = map_of(disk);
  std::vector<uint64_t> lengths;
  for (const MappedExtent& extent : map) {
    lengths.push_back(extent.length);
  }
  CHECK(lengths == std::vector<uint64_t>{20, 10, 10, 10, 10, 10, 20, 10});
}

TEST_CASE("an empty disk has an empty map") { CHECK(map_of(ToldMap({})).empty()); }

TEST_CASE("what the visitor throws ends the walk") {
  const test::PictureSource disk("64K:A 64K:- 64K:A");
  int seen = 0;
  CHECK_THROWS_AS(map_source(disk,
                             [&](const MappedExtent&) {
                               ++seen;
                               throw std::runtime_error("enough");
                             }),
                  std::runtime_error);
  CHECK(seen == 1);
}
