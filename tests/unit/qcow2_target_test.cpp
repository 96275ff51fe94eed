// SPDX-License-Identifier: LGPL-2.1-or-later
#include <atomic>
#include <numeric>

#include "lib/core/workers.h"
#include "lib/format/qcow2/qcow2_new_tables.h"
#include "tests/unit/qcow2_new_image.h"

namespace vmferry::test::qcow2 {
namespace {

/// One cluster's worth of a disk: zeros, what packs well, or what does not.
Bytes some_cluster(std::mt19937_64& random, uint64_t bytes) {
  Bytes cluster(bytes);
  const auto kind = random() % 4;
  if (kind == 1) {
    std::generate(cluster.begin(), cluster.end(), [&] { return std::byte(random()); });
  } else if (kind != 0) {
    const auto value = std::byte(random() % 255 + 1);
    std::fill_n(cluster.begin(), random() % bytes + 1, value);
  }
  return cluster;
}

/// Writes runs of clusters in random order, in several threads. Returns the disk.
Bytes write_randomly(Sink& sink, uint32_t bits, std::mt19937_64& random) {
  const uint64_t cluster = uint64_t{1} << bits;
  Bytes disk;
  while (disk.size() < sink.size()) {
    const Bytes next = some_cluster(random, cluster);
    disk.insert(disk.end(), next.begin(), next.end());
  }
  disk.resize(sink.size());
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  for (uint64_t at = 0; at < disk.size();) {
    const uint64_t bytes = std::min<uint64_t>((random() % 40 + 1) * cluster, disk.size() - at);
    runs.emplace_back(at, bytes);
    at += bytes;
  }
  std::shuffle(runs.begin(), runs.end(), random);
  std::atomic<size_t> next = 0;
  run_workers(3, {}, [&](std::stop_token) {
    for (size_t i = next++; i < runs.size(); i = next++) {
      sink.write_at(runs[i].first, slice_of(disk, runs[i].first, runs[i].second));
    }
  });
  return disk;
}

}  // namespace

TEST_CASE("what is written into a new qcow2 image reads back, and is counted") {
  std::mt19937_64 random(11);
  for (const uint32_t bits : {9u, 10u, 13u, 16u, 18u, 21u}) {
    for (const Codec codec : kCodecs) {
      const uint64_t size = (random() % 60 << bits) + random() % (1 << bits);
      CAPTURE(bits, size, codec ? static_cast<int>(*codec) : -1);
      Bytes file;
      auto in_memory = std::make_unique<GrowingFile>(file);
      GrowingFile& grown = *in_memory;
      const auto target = make_qcow2_target(std::move(in_memory), new_image(bits, size, codec));
      const Bytes disk = write_randomly(target->sink(), bits, random);
      target->sink().flush();
      CHECK(grown.flushes == 1);
      CHECK((file.size() < 4 || big_endian(file, 0, 4) == 0));  // it is no image yet
      CHECK(same_bytes(read_all(*target->sink().read_back()), disk));
      target->publish();
      CHECK(grown.flushes_before_header == 2);
      CHECK(grown.flushes == 3);
      CHECK(file.size() % (uint64_t{1} << bits) == 0);
      CHECK(Uses(file).are_counted());
      CHECK(grown.is_published);

      // As anybody else sees it: whole sectors.
      const auto whole = Image::open_bytes(std::make_shared<MemorySource>(file));
      CHECK(whole->size() == (size + 511) / 512 * 512);
    }
  }
}

TEST_CASE(
    "only what is not zero takes space in a new qcow2 image, and a stream only if it is short") {
  for (const Codec codec : kCodecs) {
    Bytes file;
    const auto target =
        make_qcow2_target(std::make_unique<GrowingFile>(file), new_image(16, 16 << 20, codec));
    std::mt19937_64 random(5);
    Bytes disk(8 << 16);
    std::fill_n(disk.begin() + (1 << 16), 1 << 16, std::byte{7});
    std::generate_n(disk.begin() + (3 << 16), 1 << 16, [&] { return std::byte(random()); });
    target->sink().write_at(4 << 20, slice_of(disk, 0, disk.size()));
    target->sink().flush();
    target->publish();
    const Uses uses(file);
    CHECK(uses.are_counted());
    CHECK(uses.plain == (codec ? 1 : 2));
    CHECK(uses.packed == (codec ? 1 : 0));
    // Header, L1, L2, refcount table and block, data.
    CHECK(file.size() <= 7 << 16);
  }
}

TEST_CASE("L2 tables and refcount blocks of a new qcow2 image do not stay in memory", "[alone]") {
  constexpr uint64_t kStride = 32 << 10;            // what an L2 table of 512 bytes maps
  constexpr uint64_t kSize = uint64_t{1100} << 20;  // more tables than the budget is for
  Bytes file;
  const auto target =
      make_qcow2_target(std::make_unique<GrowingFile>(file), new_image(9, kSize, std::nullopt));
  Bytes cluster(512, std::byte{3});
  // Some tables go into the file twice: with one cluster, and with another one later.
  for (const uint64_t within : {uint64_t{512}, uint64_t{5120}}) {
    for (uint64_t at = within; at < kSize; at += kStride) {
      std::memcpy(cluster.data(), &at, sizeof at);
      target->sink().write_at(at, slice_of(cluster, 0, cluster.size()));
    }
  }
  target->sink().flush();
  target->publish();
  CHECK(Uses(file).are_counted());
  const auto read = Image::open_bytes(std::make_shared<MemorySource>(std::move(file)));
  Bytes there(kStride);
  size_t wrong = 0;
  for (uint64_t at = 0; at < kSize; at += kStride) {
    read->read_at(at, there);
    for (uint64_t i = 0; i < kStride; i += 512) {
      uint64_t found = 0;
      std::memcpy(&found, there.data() + i, sizeof found);
      wrong += found != (i == 512 || i == 5120 ? at + i : 0) ? 1 : 0;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a sink of a qcow2 image refuses parts of clusters, and a name before its end") {
  Bytes file;
  const auto target =
      make_qcow2_target(std::make_unique<GrowingFile>(file), new_image(16, 100000, std::nullopt));
  const Bytes data(1 << 16, std::byte{1});
  CHECK_THROWS_AS(target->sink().write_at(512, slice_of(data, 0, 65024)), std::logic_error);
  CHECK_THROWS_AS(target->sink().write_at(0, slice_of(data, 0, 512)), std::logic_error);
  target->sink().write_at(65536, slice_of(data, 0, 100000 - 65536));
  CHECK_THROWS_AS(target->publish(), std::logic_error);
}

TEST_CASE("a disk that is too large for its clusters cannot be a qcow2 image") {
  const auto fits = [](uint32_t bits, uint64_t size) {
    return can_map(new_image(bits, size, ClusterCodec::kZstd));
  };
  constexpr uint64_t kTiB = uint64_t{1} << 40;
  CHECK(fits(16, 64 * kTiB));
  CHECK(fits(16, 2000 * kTiB));
  CHECK_FALSE(fits(16, 2049 * kTiB));
  CHECK(fits(21, 500 * kTiB));
  CHECK_FALSE(fits(21, 513 * kTiB));
  CHECK(fits(9, 120 * kTiB / 1024));
  CHECK_FALSE(fits(9, 128 * kTiB / 1024));
  CHECK_FALSE(fits(16, INT64_MAX));
}

TEST_CASE("a copy into a qcow2 image hands over whole clusters") {
  for (const uint32_t bits : {9u, 16u, 21u}) {
    for (const std::string picture :
         {"5000B:A 200K:- 1B:B 4M:- 70000B:C 1M:0 123B:D", "1B:A", "3B:-", "",
          "4M:A 511B:- 512B:B 513B:- 4M:0 2M:C 2097151B:- 1B:D 5M:-"}) {
      CAPTURE(bits, picture);
      const PictureSource source(picture);
      Bytes file;
      const auto target = make_qcow2_target(std::make_unique<GrowingFile>(file),
                                            new_image(bits, source.size(), ClusterCodec::kZstd));
      Progress progress;
      copy(source, target->sink(), {}, progress);
      CHECK(same_bytes(read_all(*target->sink().read_back()), read_all(source)));
      target->publish();
      CHECK(Uses(file).are_counted());
    }
  }
}

TEST_CASE("a write that fails in a qcow2 image is the caller's to know") {
  for (int fail_at = 0; fail_at < 8; ++fail_at) {
    Bytes file;
    auto in_memory = std::make_unique<GrowingFile>(file);
    int writes = 0;
    in_memory->before_write = [&] {
      if (writes++ == fail_at) {
        throw Error({.kind = ErrorKind::kIo, .object = "file", .action = "write", .cause = "full"});
      }
    };
    const auto target =
        make_qcow2_target(std::move(in_memory), new_image(12, 3 << 20, ClusterCodec::kDeflate));
    const PictureSource source("1M:A 512K:- 1536K:B");
    Progress progress;
    bool failed = false;
    try {
      copy(source, target->sink(), {}, progress);
      target->publish();
    } catch (const Error&) {
      failed = true;
    }
    CHECK(failed == (writes > fail_at));
    CHECK((failed || Uses(file).are_counted()));
    if (failed) {
      CHECK((file.size() < 4 || big_endian(file, 0, 4) == 0));  // it is no image yet
    }
  }
}

TEST_CASE("entries of one table reach the file in whichever order they are written") {
  constexpr uint32_t kClusterBits = 12;
  constexpr uint64_t kEntries = (1 << kClusterBits) / 8;
  Qcow2Space space(kClusterBits);
  Qcow2NewTables tables(kClusterBits, 4 * kEntries << kClusterBits, 0, 1);
  FilePieces earlier;
  tables.set(0, 0x11);
  tables.set(kEntries, 0x22);
  tables.keep_within_budget(space, earlier);
  FilePieces later;
  tables.set(1, 0x33);
  tables.set(2 * kEntries, 0x44);
  tables.keep_within_budget(space, later);
  REQUIRE_FALSE(later.empty());

  Bytes file(space.end());
  for (const FilePieces& pieces : {later, earlier}) {
    for (const FilePiece& piece : pieces) {
      std::copy(piece.bytes.begin(), piece.bytes.end(),
                file.begin() + static_cast<std::ptrdiff_t>(piece.offset));
    }
  }
  const uint64_t table = earlier.front().offset;
  CHECK(big_endian(file, table, 8) == 0x11);
  CHECK(big_endian(file, table + 8, 8) == 0x33);
}

}  // namespace vmferry::test::qcow2
