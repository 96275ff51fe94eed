// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/read_cache.h"

#include <atomic>
#include <random>
#include <thread>

#include "tests/unit/catch.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

constexpr uint64_t kKiB = 1024;

std::byte byte_at(uint64_t offset) { return static_cast<std::byte>(offset * 2654435761U >> 13); }

/// An object that keeps count of what is asked of it.
class FarAway {
 public:
  explicit FarAway(uint64_t size) : size_(size) {}

  ReadCache::Fetch fetch() {
    return [this](uint64_t offset, uint64_t length, const ReadCache::Deliver& deliver) {
      ++requests;
      bytes += length;
      out_of_range = out_of_range || length == 0 || offset + length > size_;
      if (fail) {
        throw Error({.kind = ErrorKind::kIo, .object = "far", .action = "read", .cause = "away"});
      }
      for (uint64_t at = 0; at < length; at += 50'000) {
        std::vector<std::byte> piece(std::min<uint64_t>(50'000, length - at));
        for (uint64_t i = 0; i < piece.size(); ++i) {
          piece[i] = byte_at(offset + at + i);
        }
        deliver(piece);
      }
    };
  }

  std::atomic<int> requests = 0;
  std::atomic<uint64_t> bytes = 0;
  std::atomic<bool> fail = false;
  std::atomic<bool> out_of_range = false;

 private:
  const uint64_t size_;
};

bool reads_right(ReadCache& cache, uint64_t offset, uint64_t length) {
  std::vector<std::byte> out(length);
  cache.read(offset, out);
  for (uint64_t i = 0; i < length; ++i) {
    if (out[i] != byte_at(offset + i)) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("small reads near each other are one request") {
  FarAway far(1000 * kKiB + 1);
  ReadCache cache(1000 * kKiB + 1, far.fetch());
  CHECK(reads_right(cache, 1, 10));
  CHECK(reads_right(cache, 60'000, 5000));
  CHECK(reads_right(cache, 0, 128 * kKiB));
  CHECK(far.requests == 2);
  CHECK(far.bytes == 128 * kKiB);
  CHECK(reads_right(cache, 1000 * kKiB, 1));  // the last byte
  CHECK(far.bytes == 128 * kKiB + 40 * kKiB + 1);
}

TEST_CASE("what was announced comes with the first of it, and nothing else does") {
  FarAway far(64 << 20);
  ReadCache cache(64 << 20, far.fetch());
  cache.announce(1 << 20, 1 << 20);
  CHECK(reads_right(cache, 1 << 20, 100));
  CHECK(far.requests == 1);
  CHECK(far.bytes == 1 << 20);
  CHECK(reads_right(cache, 1 << 20, 1 << 20));
  CHECK(far.requests == 1);
  cache.announce(10 << 20, 20 << 20);
  CHECK(reads_right(cache, 10 << 20, 20 << 20));
  CHECK(far.bytes == 21 << 20);
  CHECK(far.requests == 11);
}

TEST_CASE("reading ahead is bounded, and so is what is kept") {
  FarAway far(64 << 20);
  ReadCache cache(64 << 20, far.fetch(), 1 << 20);
  cache.announce(0, 64 << 20);
  CHECK(reads_right(cache, 0, 1));
  CHECK(far.bytes <= 1 << 20);
  for (uint64_t at = 0; at < 64 << 20; at += 1 << 20) {
    CHECK(reads_right(cache, at, 1 << 20));
  }
  CHECK(far.bytes == 64 << 20);
  CHECK(reads_right(cache, 0, 1));  // is not kept any more
  CHECK(far.bytes > 64 << 20);
}

TEST_CASE("the start of an object may be known") {
  FarAway far(300 * kKiB);
  ReadCache cache(300 * kKiB, far.fetch());
  std::vector<std::byte> start(256 * kKiB);
  for (uint64_t i = 0; i < start.size(); ++i) {
    start[i] = byte_at(i);
  }
  cache.put_start(start);
  CHECK(reads_right(cache, 0, 256 * kKiB));
  CHECK(far.requests == 0);
  CHECK(reads_right(cache, 0, 300 * kKiB));
  CHECK(far.bytes == 44 * kKiB);
}

TEST_CASE("after a failure the bytes can be asked for again") {
  FarAway far(1 << 20);
  ReadCache cache(1 << 20, far.fetch());
  far.fail = true;
  CHECK_THROWS_WITH(reads_right(cache, 0, 1 << 20), Contains("away"));
  CHECK_THROWS_WITH(reads_right(cache, 100, 1), Contains("away"));
  far.fail = false;
  CHECK(reads_right(cache, 0, 1 << 20));
}

TEST_CASE("many readers get what each of them asked for, and every byte travels once") {
  constexpr uint64_t kSize = (16 << 20) + 12345;
  FarAway far(kSize);
  ReadCache cache(kSize, far.fetch());
  cache.announce(0, kSize);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> readers;
    for (unsigned reader = 0; reader < 8; ++reader) {
      readers.emplace_back([&, reader] {
        for (uint64_t at = reader * (256 * kKiB); at < kSize; at += 8 * 256 * kKiB) {
          wrong += reads_right(cache, at, std::min<uint64_t>(256 * kKiB, kSize - at)) ? 0 : 1;
        }
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(!far.out_of_range);
  CHECK(far.bytes == kSize);
}

TEST_CASE("readers at random with little room get the right bytes, and failures pass") {
  constexpr uint64_t kSize = 4 << 20;
  FarAway far(kSize);
  ReadCache cache(kSize, far.fetch(), 256 * kKiB);
  std::atomic<int> wrong = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> readers;
    for (unsigned reader = 0; reader < 4; ++reader) {
      readers.emplace_back([&, reader] {
        std::minstd_rand random(reader);
        for (int i = 0; i < 200; ++i) {
          const uint64_t at = random() % kSize;
          const uint64_t length = std::min<uint64_t>(1 + random() % (100 * kKiB), kSize - at);
          if (i % 3 == 0) {
            cache.announce(at, std::min<uint64_t>(kSize - at, 512 * kKiB));
          }
          far.fail = random() % 50 == 0;
          try {
            wrong += reads_right(cache, at, length) ? 0 : 1;
          } catch (const Error&) {
            ++failed;
          }
        }
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(!far.out_of_range);
  far.fail = false;
  CHECK(reads_right(cache, 0, kSize));
}

}  // namespace vmferry::test
