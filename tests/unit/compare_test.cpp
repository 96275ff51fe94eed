// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstring>
#include <mutex>
#include <random>
#include <set>

#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/copy.h"

namespace vmferry::test {
namespace {

CompareResult compare_pictures(const std::string& a, const std::string& b,
                               bool ignore_tail = false) {
  PictureSource left(a);
  PictureSource right(b);
  Progress progress;
  const CompareResult result =
      compare(left, right, {.jobs = 3, .ignore_trailing_zeros = ignore_tail}, progress);
  CHECK(result.same == !result.first_difference.has_value());
  return result;
}

/// Zeros, kept as data, and how much memory they were read into.
class WideSource : public Source {
 public:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return uint64_t{512} << 20; }
  uint64_t read_alignment() const override { return kObject; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return {offset, max, ExtentKind::kData};
  }
  void read_at(uint64_t /*offset*/, std::span<std::byte> out) const override {
    std::memset(out.data(), 0, out.size());
    const std::lock_guard lock(mutex_);
    buffers_.insert(out.data());
  }
  size_t memory() const { return buffers_.size() * kObject; }

 private:
  static constexpr uint32_t kObject = 4 << 20;
  const std::string name_ = "wide";
  mutable std::mutex mutex_;
  mutable std::set<const std::byte*> buffers_;
};

}  // namespace

TEST_CASE("many threads take no more memory") {
  const WideSource a;
  const WideSource b;
  Progress progress;
  CHECK(compare(a, b, {.jobs = 64}, progress).same);
  CHECK(a.memory() + b.memory() <= 64 << 20);
}

TEST_CASE("holes equal stored zeros") {
  CHECK(compare_pictures("64K:A 1M:0 2M:-", "64K:A 3M:-").same);
  CHECK(compare_pictures("", "").same);
}

TEST_CASE("the first difference is named, wherever it is") {
  CHECK(compare_pictures("9M:A 1B:B 90K:A", "9M:A 1B:C 89K:A 1K:D").first_difference == 9u << 20);
  CHECK(compare_pictures("1M:- 1B:B 1M:-", "1M:0 1B:0 1M:-").first_difference == 1u << 20);
  CHECK(compare_pictures("1B:A", "1B:B").first_difference == 0);
}

TEST_CASE("a longer image differs, unless its tail is zeros and they are ignored") {
  CHECK(compare_pictures("1M:A", "1M:A 1M:-").first_difference == 1u << 20);
  CHECK(compare_pictures("1M:A", "1M:A 1M:-", true).same);
  CHECK(compare_pictures("1M:A 7K:0", "1M:A", true).same);
  CHECK(compare_pictures("1M:A", "1M:A 5M:- 1B:B", true).first_difference == 6u << 20);
}

TEST_CASE("one changed byte in a random disk is found") {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    PictureSource a("3M:A 2M:- 1M:0 4M:B 13B:C");
    PictureSource b("3M:A 3M:- 4M:B 13B:C");
    const uint64_t at = random() % (3 << 20);
    b.bytes()[at] = std::byte{1};
    Progress progress;
    REQUIRE(compare(a, b, {}, progress).first_difference == at);
  }
}

}  // namespace vmferry::test
