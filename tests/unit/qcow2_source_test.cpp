// SPDX-License-Identifier: LGPL-2.1-or-later
#include <atomic>
#include <thread>

#include "tests/unit/qcow2_image.h"

using namespace vmferry;
using namespace vmferry::test::qcow2;

TEST_CASE("qcow2: the magic") {
  const ImageFormat qcow2 = *find_format("qcow2");
  CHECK(probe_format(*Image(16, 1 << 20).file()) == qcow2);
  CHECK(probe_format(MemorySource(Bytes(4))) == ImageFormat());
  CHECK(probe_format(MemorySource(Bytes(3))) == ImageFormat());
  CHECK(probe_format(MemorySource(Bytes())) == ImageFormat());
}

TEST_CASE("qcow2: clusters of every kind, in every cluster size", "[alone]") {
  for (const uint32_t bits : {9u, 12u, 16u, 21u}) {
    for (const bool zstd : {false, true}) {
      const uint64_t cluster = uint64_t{1} << bits;
      for (const uint64_t tail : {uint64_t{0}, uint64_t{1}, cluster / 2 + 3}) {
        const Image image = every_kind(bits, zstd, tail);
        const auto disk = image.open();
        CHECK(disk->size() == 9 * cluster + tail);
        CHECK(read_all(*disk) == image.guest);
        const auto n = [&](uint64_t count) { return std::to_string(count); };
        CHECK(extents(*disk) == "d" + n(2 * cluster) + " z" + n(3 * cluster) + " d" +
                                    n(2 * cluster) + " z" + n(cluster) + " d" + n(cluster + tail));
      }
    }
  }
}

TEST_CASE("qcow2: reads that begin and end anywhere") {
  for (const bool zstd : {false, true}) {
    const Image image = every_kind(12, zstd, 1000);
    const auto disk = image.open();
    std::mt19937 random(5);
    for (int i = 0; i < 3000; ++i) {
      const uint64_t offset = random() % image.size;
      const uint64_t length = random() % (image.size - offset + 1);
      const auto begin = image.guest.begin() + static_cast<long>(offset);
      REQUIRE(read(*disk, offset, length) == Bytes(begin, begin + static_cast<long>(length)));
    }
  }
}

TEST_CASE("qcow2: extents go on across clusters and L2 tables, and stop at max") {
  Image image(9, 4 * 32768);  // an L2 table maps 32 KiB
  for (int i = 0; i < 100; ++i) {
    image.data(i);
  }
  for (int i = 100; i < 140; i += 2) {
    image.zero(i);
  }
  const auto disk = image.open();
  CHECK(extents(*disk) == "d51200 z79872");
  CHECK(disk->extent_at(1000, 7) == Extent{1000, 7, ExtentKind::kData});
  CHECK(disk->extent_at(51199, 2) == Extent{51199, 1, ExtentKind::kData});
  CHECK(disk->extent_at(51200, 40000) == Extent{51200, 40000, ExtentKind::kZero});
}

TEST_CASE("qcow2: an empty disk of 64 TiB is one extent, found by reading the L1 table") {
  Image image(16, uint64_t{64} << 40);
  const auto file = image.file();
  const auto disk = Image::open_bytes(file);
  const int reads = file->reads;
  CHECK(file->reads == reads);
  CHECK(disk->extent_at(5, disk->size() - 5) == Extent{5, disk->size() - 5, ExtentKind::kZero});
  CHECK(file->reads == reads + 16);
}

TEST_CASE("qcow2: clusters side by side in the file are one read") {
  Image image(9, 32768);
  image.entry(0);
  for (int i = 0; i < 64; ++i) {
    image.data(i);
  }
  const auto file = image.file();
  const auto disk = Image::open_bytes(file);
  disk->extent_at(0, 1);  // loads the L2 table
  const int reads = file->reads;
  CHECK(read_all(*disk) == image.guest);
  CHECK(file->reads == reads + 1);
}

TEST_CASE("qcow2: compressed neighbours are one read, far ones are not") {
  Image image(12, 64 << 12);
  for (int i = 0; i < 8; ++i) {
    image.compressed(i);
  }
  image.append(Bytes(200000));
  for (int i = 8; i < 16; ++i) {
    image.compressed(i);
  }
  const auto file = image.file();
  const auto disk = Image::open_bytes(file);
  disk->extent_at(0, 1);
  const int reads = file->reads;
  CHECK(read_all(*disk) == image.guest);
  CHECK(file->reads == reads + 2);
}

TEST_CASE("qcow2: a copy unpacks each compressed cluster once, with any number of workers") {
  for (const uint32_t bits : {12u, 16u, 21u}) {
    const uint64_t clusters = (uint64_t{24} << 20) >> bits;
    Image image(bits, clusters << bits);
    for (uint64_t i = 0; i < clusters; ++i) {
      const Bytes content = pattern(image.cluster, i * 5);
      image.expect(i, content);
      Bytes stream = packed(ClusterCodec::kDeflate, content);
      stream.resize(stream.size() + 1024);  // so that it has a sector to itself
      image.stream(i, stream);
    }
    const auto file = image.file();
    const auto disk = Image::open_bytes(file);
    file->log_reads = true;
    test::RecordingSink sink(disk->size(), {});
    Progress progress;
    copy(*disk, sink, {.jobs = 5}, progress);
    CHECK(test::same_bytes(sink.bytes(), image.guest));
    for (uint64_t i = 0; i < clusters; ++i) {
      const uint64_t packed_at = (image.get(image.entry(i)) & 0xfffffff) + 600;
      const auto times = std::count_if(
          file->read_ranges.begin(), file->read_ranges.end(),
          [&](const Range& r) { return r.first <= packed_at && packed_at < r.first + r.second; });
      REQUIRE(times == 1);
    }
  }
}

TEST_CASE("qcow2: an allocated cluster that is a hole of the file reads as zero") {
  Image image(12, 4 << 12);
  image.data(0).data(1).data(2).data(3);
  const auto file = image.file();
  const uint64_t second = image.get(image.entry(1)) & ~(uint64_t{1} << 63);
  file->hole = {second + 512, 4096};
  const auto disk = Image::open_bytes(file);
  CHECK(extents(*disk) == "d4608 z4096 d7680");
}

TEST_CASE("qcow2: a backing image shows through holes only") {
  const Bytes below = pattern(9 << 12, 77);
  const Image image = every_kind(12, false);
  const auto disk = image.open(std::make_shared<MemorySource>(below));
  Bytes expected = image.guest;
  for (const size_t hole : {2, 7}) {
    std::memcpy(expected.data() + (hole << 12), below.data() + (hole << 12), 4096);
  }
  CHECK(read_all(*disk) == expected);
  CHECK(extents(*disk) == "d8192 d4096 z8192 d8192 d8192");
}

TEST_CASE("qcow2: a shorter backing image ends in zeros at every level, a longer one is cut") {
  const Bytes below = pattern(40000, 9);
  const auto grandparent = std::make_shared<MemorySource>(below);
  const std::shared_ptr<const Source> parent = Image(12, 10001).open(grandparent);
  const auto child = Image(9, 33333).open(parent);
  Bytes expected = below;
  std::fill(expected.begin() + 10001, expected.end(), std::byte{0});
  expected.resize(33333);
  CHECK(read_all(*child) == expected);
  CHECK(extents(*child) == "d10001 z23332");
}

TEST_CASE("qcow2: a deep chain costs one question a level") {
  const auto bottom = std::make_shared<MemorySource>(pattern(64 << 9, 1));
  std::shared_ptr<const Source> top = bottom;
  for (int level = 0; level < 40; ++level) {
    Image image(9, 64 << 9);
    for (int i = level % 3; i < 64; i += 3 + level % 2) {
      image.zero(i);
    }
    top = image.open(top);
  }
  extents(*top);
  CHECK(bottom->extent_calls <= 64);
}

TEST_CASE("qcow2: L1 entries may share a table, and those behind the disk are not followed") {
  Image image(9, 3 * 32768);
  image.data(0).data(5);
  image.put(image.l1 + 16, image.get(image.l1));
  image.put(36, 4, 4).put(image.l1 + 24, 0x00ffffffffffff00);
  std::memcpy(image.guest.data() + 65536, image.guest.data(), 32768);
  const auto file = image.file();
  const auto disk = Image::open_bytes(file);
  CHECK(read_all(*disk) == image.guest);
  CHECK(disk->size() == 3 * 32768);
}

TEST_CASE("qcow2: version 2, and a disk of no bytes") {
  Image old(16, 3 << 16, 2);
  old.data(0).compressed(2);
  CHECK(read_all(*old.open()) == old.guest);
  const auto empty = Image(16, 0).open();
  CHECK(empty->size() == 0);
  CHECK(read_all(*empty).empty());
}

TEST_CASE("qcow2: prefetch asks for the places in the file, and never fails") {
  Image image(12, 64 << 12);
  image.data(0).compressed(2).compressed(3).zero(4).data(5);
  const auto below = std::make_shared<MemorySource>(Bytes(2 << 12));
  const auto file = image.file();
  const auto disk = Image::open_bytes(file, below);
  const auto host = [&](int i) { return image.get(image.entry(i)) & 0x00ffffffffffffff; };
  disk->prefetch(100, (6 << 12) - 100);
  REQUIRE(file->prefetched.size() == 3);
  CHECK(file->prefetched[0] == Range{host(0) + 100, 4096 - 100});
  const uint64_t packed_at = host(2) & 0xffffff;
  CHECK(file->prefetched[1].first == packed_at);
  CHECK(file->prefetched[1].second > (host(3) & 0xffffff) - packed_at);
  CHECK(file->prefetched[2] == Range{host(5), 4096});
  CHECK(below->prefetched == std::vector<Range>{{4096, 4096}});

  const auto broken = image.set(0, uint64_t{1} << 50).open();
  CHECK_NOTHROW(broken->prefetch(0, broken->size()));
  CHECK_THROWS_AS(broken->extent_at(0, 1), Error);
}

TEST_CASE("qcow2: reads are best aligned to clusters, of the largest in the chain") {
  const std::shared_ptr<const Source> base = Image(16, 1 << 20).open();
  CHECK(base->read_alignment() == 65536);
  CHECK(Image(12, 1 << 20).open(base)->read_alignment() == 65536);
  CHECK(Image(21, 1 << 20).open(base)->read_alignment() == 2 << 20);
}

TEST_CASE("qcow2: many threads read one disk") {
  for (const bool zstd : {false, true}) {
    const Image image = every_kind(12, zstd, 77);
    const std::shared_ptr<const Source> disk = image.open();
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        for (int i = 0; i < 300; ++i) {
          const uint64_t offset = random() % image.size;
          const uint64_t length = 1 + random() % (image.size - offset);
          const Bytes bytes = read(*disk, offset, length);
          if (std::memcmp(bytes.data(), image.guest.data() + offset, length) != 0) {
            ++wrong;
          }
          if (disk->extent_at(offset, length).offset != offset) {
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
}

TEST_CASE("qcow2: what cannot be opened without more is refused by name") {
  const auto refusal = [](const std::function<void(Image&)>& change, ErrorKind kind) {
    Image image(16, 1 << 20);
    change(image);
    return error_of([&] { image.open(); }, kind);
  };
  CHECK(refusal([](Image& i) { i.put(72, 4); }, ErrorKind::kUnsupported) ==
        "img.qcow2: open as qcow2: it keeps its data in an external data file");
  CHECK(refusal([](Image& i) { i.put(32, 1, 4); }, ErrorKind::kUnsupported) ==
        "img.qcow2: open as qcow2: it is encrypted (AES)");
  CHECK(refusal([](Image& i) { i.put(32, 2, 4); }, ErrorKind::kUnsupported) ==
        "img.qcow2: open as qcow2: it is encrypted (LUKS)");
  CHECK(refusal([](Image& i) { i.put(72, 2); }, ErrorKind::kCorrupt) ==
        "img.qcow2: open as qcow2: the image is marked as corrupt");
  CHECK(refusal([](Image& i) { i.put(72, 1); }, ErrorKind::kCorrupt) == "");  // dirty is fine
}

TEST_CASE("qcow2: a snapshot shows the disk as it was, and not the state of the machine") {
  Image image(9, 3 * 32768);
  image.data(0).data(70);
  const auto state = image.append(pattern(512, 200));
  // Its L1 table: the same first range, nothing, and behind its disk of 40000 bytes the state.
  const uint64_t table = image.append(Bytes(512));
  image.put(table, state);
  const uint64_t l1 = image.append(Bytes(24));
  image.put(l1, image.get(image.l1)).put(l1 + 16, table);
  const auto open = [&](Qcow2Snapshot snapshot) {
    const auto file = image.file();
    return open_qcow2({.file = file, .snapshot = std::move(snapshot)}, read_qcow2_header(*file));
  };
  Bytes expected(image.size);
  std::memcpy(expected.data(), image.guest.data(), 32768);
  const auto disk =
      open({.id = "1", .name = "s", .l1_offset = l1, .l1_entries = 3, .virtual_size = 40000});
  CHECK(disk->size() == image.size);  // as QEMU has it
  CHECK(read_all(*disk) == expected);
  CHECK(read_all(*open({.id = "1", .name = "s", .l1_offset = l1, .l1_entries = 1})) == expected);
  CHECK(read_all(*open({.id = "1", .name = "s", .l1_offset = l1, .l1_entries = 3})) != expected);
}

TEST_CASE("qcow2: subclusters show a backing image between them") {
  constexpr uint64_t kSub = 512;
  Image image(14, 2 << 14);
  const uint64_t place = image.append(pattern(16384, 50));
  // 0 and 1 allocated, 2 zero, the rest below; the second cluster is not in the table.
  image.put(image.entry(0), place).put(image.entry(0) + 8, uint64_t{4} << 32 | 3);
  image.put(72, 16);
  const Bytes below = pattern(20 * kSub + 100, 90);
  const auto disk = image.open(std::make_shared<MemorySource>(below));
  Bytes expected = below;
  expected.resize(image.size);
  std::memcpy(expected.data(), image.bytes.data() + place, 2 * kSub);
  std::memset(expected.data() + 2 * kSub, 0, kSub);
  CHECK(read_all(*disk) == expected);
  CHECK(extents(*disk) == "d1024 z512 d8804 z22428");
}

TEST_CASE("qcow2: an external data file holds the clusters, also at its beginning") {
  Image image(16, 3 << 16);
  image.put(72, 4).set(0, uint64_t{1} << 63).set(1, 1).set(2, uint64_t{1} << 63 | 2 << 16);
  const Bytes data = pattern(3 << 16, 8);
  const auto file = image.file();
  const auto outside = std::make_shared<MemorySource>(data);
  const auto disk = open_qcow2({.file = file, .data_file = outside}, read_qcow2_header(*file));
  Bytes expected = data;
  std::memset(expected.data() + (1 << 16), 0, 1 << 16);
  CHECK(read_all(*disk) == expected);
}
