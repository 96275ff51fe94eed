// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <vector>

#include "lib/core/null_sink.h"
#include "lib/core/xxh64.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/copy.h"
#include "vmferry/digest.h"

namespace vmferry::test {
namespace {

constexpr uint64_t kMega = 1 << 20;

std::string digest_by_copy(const Source& source) {
  NullSink nothing(source.size());
  DiskDigest digest(source.size());
  Progress progress;
  copy(source, nothing, {.jobs = 4, .digest = &digest}, progress);
  return digest.text();
}

std::string digest_of(const std::string& picture) { return digest_by_copy(PictureSource(picture)); }

void append(std::vector<std::byte>& out, uint64_t number, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) {
    out.push_back(static_cast<std::byte>(number >> (8 * i)));
  }
}

/// As the header says it, for disks of less than one piece.
std::string digest_by_hand(const std::vector<std::byte>& disk) {
  std::vector<std::byte> piece;
  for (size_t block = 0; block < DiskDigest::kBlocksPerPiece; ++block) {
    const size_t begin = std::min<size_t>(disk.size(), block * DiskDigest::kBlock);
    size_t end = std::min<size_t>(disk.size(), begin + DiskDigest::kBlock);
    while (end > begin && disk[end - 1] == std::byte{0}) {
      --end;
    }
    append(piece, end - begin, 4);
    append(piece, end == begin ? 0 : xxh64(std::span(disk).subspan(begin, end - begin)), 8);
  }
  std::vector<std::byte> all;
  append(all, disk.size(), 8);
  append(all, 0, 8);
  append(all, xxh64(piece), 8);
  return fmt::format("xxh64t:{:016x}", xxh64(all));
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

TEST_CASE("XXH64 gives the published values") {
  CHECK(xxh64({}) == 0xef46db3751d8e999);
  CHECK(xxh64(bytes_of("a")) == 0xd24ec4f1a98c6e5b);
  CHECK(xxh64(bytes_of("abc")) == 0x44bc2cf5ad770999);
  Xxh64 pieces;
  pieces.add(bytes_of("a"));
  pieces.add(bytes_of("bc"));
  CHECK(pieces.hash() == xxh64(bytes_of("abc")));
  Xxh64 zeros;
  zeros.add_zeros(100'000);
  CHECK(zeros.hash() == 0x2c9fd5b2f34e23db);  // of xxhsum
}

TEST_CASE("a disk's digest is what its description says") {
  PictureSource source("4K:A 60K:0 1M:B 5M:- 3M:C 4K:- 4K:D 512:E");
  CHECK(digest_by_copy(source) == digest_by_hand(source.bytes()));
}

TEST_CASE("a digest is the same wherever zeros are holes, and other for other bytes") {
  const std::string digest = digest_of("1M:A 8M:- 64K:B 3M:-");
  CHECK(digest == digest_of("1M:A 8M:0 64K:B 3M:0"));
  CHECK(digest == digest_of("1M:A 3M:0 5M:- 64K:B 1M:0 2M:-"));
  CHECK(digest != digest_of("1M:A 8M:- 64K:B 2M:-"));
  CHECK(digest != digest_of("1M:A 8M:- 64K:C 3M:-"));
  CHECK(digest != digest_of("1M:A 7M:- 64K:B 4M:-"));
  CHECK(digest != digest_of("1M:A 12M:- 64K:B"));
}

TEST_CASE("one byte anywhere changes the digest of a large disk, and only its data is read") {
  SparseDisk disk(uint64_t{64} << 40);
  const std::array one = {std::byte{1}};
  disk.put(uint64_t{63} << 40, one);
  disk.bytes_read = 0;
  const std::string digest = digest_by_copy(disk);
  CHECK(disk.bytes_read < kMega);
  for (const uint64_t at : {uint64_t{0}, 64 * kMega - 1, 64 * kMega, (uint64_t{64} << 40) - 1}) {
    SparseDisk other(uint64_t{64} << 40);
    other.put(uint64_t{63} << 40, one);
    other.put(at, one);
    CHECK(digest_by_copy(other) != digest);
  }
}

TEST_CASE("comparing tells the digest of both") {
  const PictureSource a("1M:A 8M:- 64K:B 3M:-");
  const PictureSource b("1M:A 8M:0 64K:B 3M:0");
  for (const auto& [first, second] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
    DiskDigest digest(first->size());
    Progress progress;
    CHECK(compare(*first, *second, {.digest = &digest}, progress).same);
    CHECK(digest.text() == digest_by_copy(a));
  }
}

TEST_CASE("a block that was forgotten counts as zero") {
  DiskDigest digest(64 * kMega);
  const std::string empty = digest.text();
  digest.set(3, {.length = 5, .hash = 7});
  CHECK(digest.find(3) == BlockDigest{5, 7});
  CHECK_FALSE(digest.find(4));
  CHECK(digest.text() != empty);
  digest.forget(3);
  CHECK_FALSE(digest.find(3));
  CHECK(digest.text() == empty);
}

TEST_CASE("only what has the form of a digest is one") {
  CHECK(is_digest("xxh64t:0123456789abcdef"));
  for (const char* text : {"", "xxh64t:", "xxh64t:0123456789abcde", "xxh64t:0123456789abcdeF",
                           "0123456789abcdef", "xxh64t:0123456789abcdef0"}) {
    CHECK_FALSE(is_digest(text));
  }
}

}  // namespace vmferry::test
