// SPDX-License-Identifier: LGPL-2.1-or-later
#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/store/extent_cache.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

constexpr uint64_t kPiece = 1000;

// Data in the second half of every hundred bytes, and how often each piece was asked for.
struct AskedStore {
  std::vector<Extent> ask(uint64_t offset, uint64_t length) {
    const std::lock_guard lock(mutex);
    ++asked[offset];
    if (broken) {
      throw Error({.object = "store", .action = "ask", .cause = "broken"});
    }
    std::vector<Extent> data;
    for (uint64_t at = offset; at < offset + length; at += 100) {
      data.push_back({at + 50, 50});
    }
    return data;
  }
  int total() const {
    int sum = 0;
    for (const auto& [offset, times] : asked) {
      sum += times;
    }
    return sum;
  }

  std::mutex mutex;
  std::map<uint64_t, int> asked;
  bool broken = false;
};

ExtentCache cache_of(AskedStore& store, uint64_t size, size_t max_extents) {
  return ExtentCache(size, kPiece, max_extents, [&store](uint64_t offset, uint64_t length) {
    return store.ask(offset, length);
  });
}

}  // namespace

TEST_CASE("extent cache: data and holes, cut at pieces and at max") {
  AskedStore store;
  ExtentCache cache = cache_of(store, 2500, 1000);
  CHECK(cache.extent_at(0, 2500) == Extent{0, 50, ExtentKind::kZero});
  CHECK(cache.extent_at(20, 10) == Extent{20, 10, ExtentKind::kZero});
  CHECK(cache.extent_at(70, 2430) == Extent{70, 30, ExtentKind::kData});
  CHECK(cache.extent_at(950, 1550) == Extent{950, 50, ExtentKind::kData});
  CHECK(cache.extent_at(2450, 50) == Extent{2450, 50, ExtentKind::kData});
  CHECK(store.total() == 2);
}

TEST_CASE("extent cache: readers at several places do not push out each other's answers") {
  AskedStore store;
  ExtentCache cache = cache_of(store, 100 * kPiece, 10000);
  std::vector<std::thread> readers;
  std::atomic<bool> wrong = false;
  for (uint64_t reader = 0; reader < 8; ++reader) {
    readers.emplace_back([&, reader] {
      for (uint64_t i = 0; i < 1000; ++i) {
        const uint64_t at = (i + reader * 125) % 1000 * 100;
        if (cache.extent_at(at, 100) != Extent{at, 50, ExtentKind::kZero}) {
          wrong = true;
        }
      }
    });
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  CHECK(!wrong);
  CHECK(store.asked.size() == 100);
  CHECK(store.total() == 100);
}

TEST_CASE("extent cache: what was used longest ago makes room") {
  AskedStore store;
  ExtentCache cache = cache_of(store, 10 * kPiece, 22);  // two pieces
  cache.extent_at(0, 1);
  cache.extent_at(kPiece, 1);
  cache.extent_at(0, 1);
  cache.extent_at(2 * kPiece, 1);
  CHECK(store.total() == 3);
  cache.extent_at(0, 1);
  CHECK(store.total() == 3);
  cache.extent_at(kPiece, 1);
  CHECK(store.asked[kPiece] == 2);
}

TEST_CASE("extent cache: an answer that is larger than the room is given all the same") {
  AskedStore store;
  ExtentCache cache = cache_of(store, 10 * kPiece, 1);
  CHECK(cache.extent_at(50, 100) == Extent{50, 50, ExtentKind::kData});
  CHECK(cache.extent_at(3 * kPiece, 100) == Extent{3 * kPiece, 50, ExtentKind::kZero});
}

TEST_CASE("extent cache: a failure is no answer") {
  AskedStore store;
  store.broken = true;
  ExtentCache cache = cache_of(store, kPiece, 100);
  CHECK_THROWS_AS(cache.extent_at(0, 100), Error);
  store.broken = false;
  CHECK(cache.extent_at(0, 100) == Extent{0, 50, ExtentKind::kZero});
}
