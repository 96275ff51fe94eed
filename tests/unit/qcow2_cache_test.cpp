// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "lib/format/qcow2/qcow2_table_cache.h"
#include "tests/unit/big_endian.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

constexpr uint64_t kTable = 4096;

// The word at offset n is n, big endian.
class Numbers : public Source {
 public:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return uint64_t{1} << 40; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return {offset, max, ExtentKind::kData};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    ++reads;
    if (broken) {
      throw Error({.object = name_, .action = "read", .cause = "broken"});
    }
    std::vector<std::byte> words(out.size());
    for (size_t at = 0; at < words.size(); at += 8) {
      test::put_big_endian(words, at, offset + at);
    }
    std::copy(words.begin(), words.end(), out.begin());
  }

  mutable std::atomic<int> reads = 0;
  std::atomic<bool> broken = false;

 private:
  std::string name_ = "numbers";
};

}  // namespace

TEST_CASE("table cache: reads each table once, in this machine's order") {
  Numbers file;
  Qcow2TableCache cache;
  const uint64_t me = cache.add_user();
  const auto table = cache.get(me, file, 8 * kTable, kTable);
  CHECK(table->size() == kTable / 8);
  CHECK(table->front() == 8 * kTable);
  CHECK(table->back() == 9 * kTable - 8);
  CHECK(cache.get(me, file, 8 * kTable, kTable) == table);
  CHECK(file.reads == 1);
}

TEST_CASE("table cache: forgets the table that was used longest ago") {
  Numbers file;
  Qcow2TableCache cache(2 * kTable + 1000);  // room for two
  const auto get = [&](uint64_t index) { return cache.get(7, file, index * kTable, kTable); };
  const auto held = get(1);
  get(2);
  get(1);
  get(3);  // forgets 2
  CHECK(file.reads == 3);
  get(1);
  CHECK(file.reads == 3);
  get(2);  // forgets 3
  CHECK(file.reads == 4);
  get(1);
  CHECK(file.reads == 4);
  get(3);
  get(4);
  CHECK(held->front() == kTable);  // who holds a table keeps it
}

TEST_CASE("table cache: users share the budget, and nothing else") {
  Numbers file;
  Qcow2TableCache cache(2 * kTable);
  const uint64_t a = cache.add_user();
  const uint64_t b = cache.add_user();
  CHECK(cache.get(a, file, kTable, kTable)->size() == 512);
  CHECK(cache.get(b, file, kTable, 64)->size() == 8);
  CHECK(file.reads == 2);
  cache.get(b, file, 0, kTable);
  cache.get(b, file, kTable, 64);
  CHECK(file.reads == 3);
  cache.get(a, file, kTable, kTable);  // was forgotten for the others
  CHECK(file.reads == 4);
}

TEST_CASE("table cache: holds one table even if it is larger than the budget") {
  Numbers file;
  Qcow2TableCache cache(1);
  cache.get(0, file, kTable, kTable);
  cache.get(0, file, kTable, kTable);
  CHECK(file.reads == 1);
}

TEST_CASE("table cache: a failed read leaves nothing behind") {
  Numbers file;
  Qcow2TableCache cache;
  file.broken = true;
  CHECK_THROWS_AS(cache.get(0, file, kTable, kTable), Error);
  file.broken = false;
  CHECK(cache.get(0, file, kTable, kTable)->front() == kTable);
}

TEST_CASE("table cache: many threads, few places") {
  Numbers file;
  Qcow2TableCache cache(4 * kTable);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      for (uint64_t i = 0; i < 3000; ++i) {
        const uint64_t offset = (i * seed * 7 % 11 + 1) * kTable;
        if (cache.get(0, file, offset, kTable)->front() != offset) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
}
