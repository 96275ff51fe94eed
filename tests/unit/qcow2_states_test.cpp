// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "lib/format/qcow2/qcow2_counts.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/transfer/delta.h"
#include "tests/unit/kept_states.h"
#include "tests/unit/qcow2_new_image.h"
#include "tests/unit/temp_dir.h"
#include "vmferry/transfer_changes.h"
#include "vmferry/transfer_history.h"

namespace vmferry::test::qcow2 {
namespace {

Point named(std::string name) { return {.name = std::move(name), .id = {}}; }

/// What comes after `before`, written over it.
void write_state(Sink& sink, const Bytes& before, const Bytes& now, uint64_t block) {
  if (now.size() != before.size()) {
    sink.set_size(now.size());
  }
  const BytesChanges told(before, now, block);
  const CutChanges cut(told, before.size(), now.size());
  const BlockChanges changes(cut, now.size(), sink.traits().write_unit);
  const MemorySource source(now);
  const DeltaSource delta(source, changes);
  DeltaSink over(sink, changes);
  Progress progress;
  copy(delta, over, {.jobs = 3}, progress);
}

void write_first(Sink& sink, const Bytes& disk) {
  const MemorySource source(disk);
  Progress progress;
  copy(source, sink, {.jobs = 3}, progress);
}

std::vector<Bytes> random_states(size_t count, uint64_t cluster, uint64_t size,
                                 std::mt19937_64& random) {
  Bytes disk(size);
  std::vector<Bytes> states;
  for (size_t i = 0; i < count; ++i) {
    disk = changed_disk(std::move(disk), cluster, random);
    states.push_back(disk);
  }
  return states;
}

/// An image of which all but the last state are snapshots.
Bytes image_of(const std::vector<Bytes>& states, const NewQcow2& image, uint64_t block) {
  Bytes file;
  const auto target = make_qcow2_target(std::make_unique<GrowingFile>(file), image);
  const std::vector<Point> points = KeptStates(states, block).points();
  for (size_t i = 0; i < states.size(); ++i) {
    if (i == 0) {
      write_first(target->sink(), states[i]);
    } else {
      write_state(target->sink(), states[i - 1], states[i], block);
    }
    CHECK(same_bytes(read_all(*target->sink().read_back()), states[i]));
    if (i + 1 < states.size()) {
      CHECK(target->mark(points[i]) == points[i].name);
      CHECK(target->marks({}).size() == i + 1);
    }
  }
  target->publish();
  return file;
}

Bytes resized(Bytes bytes, uint64_t size) {
  bytes.resize(size);
  return bytes;
}

/// Our own reader shows each state, as long as the disk is now.
void check_states(const Bytes& file, const std::vector<Bytes>& states) {
  const auto source = std::make_shared<MemorySource>(file);
  const Qcow2Header header = read_qcow2_header(*source);
  CHECK(header.virtual_size == (states.back().size() + 511) / 512 * 512);
  const std::vector<Qcow2Snapshot> snapshots = read_qcow2_snapshots(*source, header);
  REQUIRE(snapshots.size() == states.size() - 1);
  for (size_t i = 0; i < snapshots.size(); ++i) {
    CHECK(snapshots[i].name == "state " + std::to_string(i));
    CHECK(snapshots[i].id == std::to_string(i + 1));
    CHECK(snapshots[i].date_seconds == 1700000000 + i);
    CHECK(snapshots[i].virtual_size == (states[i].size() + 511) / 512 * 512);
    const auto then = open_qcow2({.file = source, .snapshot = snapshots[i]}, header);
    CHECK(same_bytes(read_all(*then), resized(states[i], header.virtual_size)));
  }
  const auto now = open_qcow2({.file = source}, header);
  CHECK(same_bytes(read_all(*now), resized(states.back(), header.virtual_size)));
}

void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

bool runs(const std::string& command) {
  return WEXITSTATUS(std::system((command + " >/dev/null").c_str())) == 0;
}

/// QEMU finds no fault, and shows the same states.
void ask_qemu(const Bytes& file, const std::vector<Bytes>& states) {
  const TempDir dir;
  const std::string image = (dir / "image").string();
  const std::string raw = (dir / "raw").string();
  write_file(image, file);
  CHECK(runs("qemu-img check -q -f qcow2 " + image));
  const uint64_t size = (states.back().size() + 511) / 512 * 512;
  for (size_t i = 0; i < states.size(); ++i) {
    write_file(raw, resized(states[i], size));
    const std::string which = i + 1 < states.size() ? fmt::format("-l snapshot.id={} ", i + 1) : "";
    const std::string out = (dir / "out").string();
    CHECK(runs(fmt::format("qemu-img convert -f qcow2 -O raw {}{} {} && cmp {} {}", which, image,
                           out, out, raw)));
  }
}

}  // namespace

TEST_CASE("what is marked in a new qcow2 image stays as it was, whatever is written later") {
  std::mt19937_64 random(17);
  for (const uint32_t bits : {9u, 10u, 12u, 16u, 21u}) {
    for (const Codec codec : kCodecs) {
      const uint64_t cluster = uint64_t{1} << bits;
      const uint64_t size = (random() % 40 << bits) + (random() % 2 == 0 ? 0 : random() % cluster);
      const size_t count = bits == 21 ? 3 : random() % 7 + 2;
      const uint64_t block = random() % 2 == 0 ? 512 : 4096;
      CAPTURE(bits, size, count, block, codec ? static_cast<int>(*codec) : -1);
      const std::vector<Bytes> states = random_states(count, cluster, size, random);
      const Bytes file = image_of(states, new_image(bits, states[0].size(), codec), block);
      CHECK(Uses(file).are_counted());
      check_states(file, states);
      ask_qemu(file, states);
    }
  }
}

TEST_CASE("many states of disks with many tables, as random changes make them", "[alone]") {
  std::mt19937_64 random(170);
  for (int round = 0; round < 60; ++round) {
    const uint32_t bits = random() % 2 == 0 ? 9 : 11;
    const uint64_t cluster = uint64_t{1} << bits;
    const std::vector<Bytes> states =
        random_states(random() % 30 + 2, cluster, random() % 600 << bits, random);
    CAPTURE(round, bits, states.size());
    const Bytes file =
        image_of(states, new_image(bits, states[0].size(), kCodecs[random() % 3]), 512);
    CHECK(Uses(file).are_counted());
    check_states(file, states);
    if (round % 10 == 0) {
      ask_qemu(file, states);
    }
  }
}

TEST_CASE("a state in which nothing changed shares all but its L1 table") {
  std::mt19937_64 random(3);
  Bytes disk(4 << 20);
  std::generate(disk.begin(), disk.end(), [&random] { return std::byte(random()); });
  const Bytes once = image_of({disk, disk}, new_image(16, disk.size(), std::nullopt), 4096);
  const Bytes often =
      image_of({disk, disk, disk, disk, disk}, new_image(16, disk.size(), std::nullopt), 4096);
  // Each that is read back has a table of snapshots in the file.
  CHECK(often.size() == once.size() + 3 * 2 * 65536);
  CHECK(Uses(often).are_counted());

  // One cluster: itself, an L2 table, and the two.
  Bytes changed = disk;
  changed[1 << 20] ^= std::byte{1};
  const Bytes more =
      image_of({disk, disk, changed}, new_image(16, disk.size(), std::nullopt), 4096);
  CHECK(more.size() == once.size() + 4 * 65536);
}

TEST_CASE("zeros of a later state take no space, and empty tables go") {
  Bytes disk(8 << 20, std::byte{5});
  const Bytes nothing(8 << 20);
  const Bytes file = image_of({disk, nothing, disk}, new_image(12, disk.size(), std::nullopt), 512);
  CHECK(Uses(file).are_counted());
  const Bytes kept = image_of({disk, nothing}, new_image(12, disk.size(), std::nullopt), 512);
  CHECK(Uses(kept).plain == 0);
  check_states(kept, {disk, nothing});
}

TEST_CASE("streams that share a cluster are counted for each state") {
  const Bytes disk(1000 << 16, std::byte{9});
  Bytes file;
  const auto target = make_qcow2_target(std::make_unique<GrowingFile>(file),
                                        new_image(16, disk.size(), ClusterCodec::kZstd));
  write_first(target->sink(), disk);
  for (int i = 0; i < 90; ++i) {
    target->mark(named("again"));
    target->sink().flush();
  }
  target->publish();
  const Uses uses(file);
  CHECK(uses.are_counted());
  CHECK(uses.most() > UINT16_MAX);
  const TempDir dir;
  write_file(dir / "image", file);
  CHECK(runs("qemu-img check -q -f qcow2 " + (dir / "image").string()));
}

TEST_CASE("counts that do not fit into memory are read back from the file") {
  for (const uint64_t budget : {uint64_t{1}, uint64_t{1} << 20}) {
    Bytes bytes;
    GrowingFile grown(bytes);
    Qcow2NewFile file(grown.sink());
    Qcow2Space space(9);
    space.stop_counting();
    space.take_clusters(2000);
    const Qcow2Space::Blocks blocks = space.take_blocks();
    Qcow2Counts counts(9, file, blocks, budget);
    std::mt19937_64 random(8);
    std::vector<uint64_t> expected(2000);
    for (int i = 0; i < 3000; ++i) {
      const uint64_t at = random() % 1990;
      const uint64_t times = random() % 70000;
      counts.add(at * 512 + 17, 5 * 512, times);  // of six clusters
      for (uint64_t j = at; j < at + 6; ++j) {
        expected[j] += times;
      }
    }
    const Qcow2Space::Table table = counts.finish();
    for (uint64_t i = 0; i < expected.size(); ++i) {
      const uint64_t block = big_endian(bytes, table.offset + i / 128 * 8, 8);
      CHECK(block == blocks.places[i / 128]);
      const uint64_t found = big_endian(bytes, block + i % 128 * 4, 4);
      CHECK(found == expected[i]);
    }
    CHECK_THROWS_AS(counts.add(uint64_t{1} << 40, 1, 1), Error);
  }
}

TEST_CASE("each image of a chain holds what changed, and shows the rest of the one below") {
  std::mt19937_64 random(71);
  for (const uint32_t bits : {9u, 12u, 16u}) {
    for (const Codec codec : kCodecs) {
      const uint64_t cluster = uint64_t{1} << bits;
      const std::vector<Bytes> states = random_states(6, cluster, random() % 200 << bits, random);
      CAPTURE(bits, codec ? static_cast<int>(*codec) : -1);
      const TempDir dir;
      std::shared_ptr<const Source> below;
      for (size_t i = 0; i < states.size(); ++i) {
        Bytes file;
        NewQcow2 image = new_image(bits, states[i].size(), codec);
        image.link.point = Point{.name = "p\n" + std::to_string(i), .id = "7", .size = 99 + i};
        if (below) {
          image.link.backing = std::to_string(i - 1);
          image.link.backing_format = *find_format("qcow2");
          image.link.below = below;
        }
        const auto target = make_qcow2_target(std::make_unique<GrowingFile>(file), image);
        if (!below) {
          write_first(target->sink(), states[i]);
        } else {
          // The target is new: it has its size already.
          const BytesChanges told(states[i - 1], states[i], 512);
          const CutChanges cut(told, states[i - 1].size(), states[i].size());
          const BlockChanges changes(cut, states[i].size(), cluster);
          const MemorySource source(states[i]);
          const DeltaSource delta(source, changes);
          DeltaSink over(target->sink(), changes);
          Progress progress;
          copy(delta, over, {}, progress);
        }
        CHECK(same_bytes(read_all(*target->sink().read_back()), states[i]));
        target->publish();
        CHECK(Uses(file).are_counted());
        const auto stored = std::make_shared<MemorySource>(file);
        const Qcow2Header header = read_qcow2_header(*stored);
        CHECK(header.point == image.link.point);
        CHECK(header.backing_name == image.link.backing);
        below = open_qcow2({.file = stored, .backing = below}, header);
        CHECK(same_bytes(read_all(*below), resized(states[i], below->size())));
        write_file(dir / std::to_string(i), file);
        write_file(dir / "raw", resized(states[i], below->size()));
        const std::string path = (dir / std::to_string(i)).string();
        CHECK(runs("qemu-img check -q -f qcow2 " + path));
        CHECK(runs(fmt::format("qemu-img compare -q -f qcow2 -F raw {} {}", path,
                               (dir / "raw").string())));
      }
    }
  }
}

TEST_CASE("a copy of a disk with its states into a qcow2 image is verified, whatever their sizes") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 20; ++round) {
    const uint32_t bits = round % 2 == 0 ? 9 : 12;
    const std::vector<Bytes> states =
        random_states(5, uint64_t{1} << bits, random() % 100 << bits, random);
    const KeptStates source(states, 512);
    CAPTURE(round);
    Bytes file;
    const auto target = make_qcow2_target(std::make_unique<GrowingFile>(file),
                                          new_image(bits, states[0].size(), kCodecs[round % 3]));
    const Verify verify = round % 4 < 2 ? Verify::kYes : Verify::kReading;
    const HistoryResult result =
        transfer_history(source, {0, 1, 2, 3}, *target, {.verify = verify});
    CHECK(result.points.size() == 4);
    CHECK(result.verified == Verify::kReading);
    CHECK(Uses(file).are_counted());
    check_states(file, states);
  }
}

TEST_CASE("what an image of a chain has of its own is verified") {
  const uint64_t cluster = 4096;
  Bytes before(64 * cluster, std::byte{1});
  Bytes now = before;
  std::fill_n(now.begin() + 10 * cluster, cluster, std::byte{2});
  std::fill_n(now.begin() + 20 * cluster, cluster, std::byte{0});
  const MemorySource source(now);
  const BytesChanges changes(before, now, cluster);
  for (const Verify verify : {Verify::kYes, Verify::kReading}) {
    for (const bool is_damaged : {false, true}) {
      Bytes file;
      auto grown = std::make_unique<GrowingFile>(file);
      if (is_damaged) {
        grown->before_read_back = [](Bytes& bytes) {
          *std::find(bytes.rbegin(), bytes.rend(), std::byte{2}) = std::byte{3};
        };
      }
      NewQcow2 image = new_image(12, now.size(), std::nullopt);
      image.link = {.backing = "below",
                    .backing_format = *find_format("qcow2"),
                    .below = std::make_shared<MemorySource>(before),
                    .point = std::nullopt};
      const auto target = make_qcow2_target(std::move(grown), image);
      const auto run = [&] {
        return transfer_changes(source, *image.link.below, changes, *target, {.verify = verify});
      };
      if (is_damaged) {
        CHECK_THROWS_WITH(run(), Contains("reads back differently from the source"));
      } else {
        CHECK(run().written_bytes == cluster);
        CHECK(Uses(file).plain == 1);
      }
    }
  }
}

TEST_CASE("a state that a qcow2 image has no room for is refused") {
  Bytes file;
  const auto target =
      make_qcow2_target(std::make_unique<GrowingFile>(file), new_image(16, 65536, std::nullopt));
  CHECK_THROWS_AS(target->mark(named("early")), std::logic_error);
  target->sink().flush();
  CHECK_THROWS_AS(target->mark(named(std::string(65536, 'x'))), Error);
  CHECK(target->mark(named(std::string(65535, 'x'))).size() == 65535);
  CHECK_THROWS_AS(target->publish(), std::logic_error);
  target->sink().flush();
  CHECK_THROWS_AS(target->sink().set_size(uint64_t{1} << 60), Error);
  target->publish();
  CHECK(Uses(file).are_counted());
}

TEST_CASE("a state that an image claims to hold is read only as far as it makes sense") {
  Qcow2Header header;
  header.cluster_bits = 16;
  header.refcount_table_offset = 65536;
  header.refcount_table_clusters = 1;
  header.version = 3;
  for (const Point& point :
       {Point{}, Point{.name = "n", .id = "i", .size = 5, .seconds = -7},
        Point{.name = std::string("a\0b/@\xff", 6), .id = "", .size = UINT64_MAX}}) {
    header.point = point;
    Bytes bytes = encode_qcow2_header(header);
    CHECK(parse_qcow2_header(bytes, "image", 1 << 20).point == point);
    put_big_endian(bytes, 120 + 24, 1000, 4);  // the length of its id
    CHECK_THROWS_AS(parse_qcow2_header(bytes, "image", 1 << 20), Error);
    bytes[120] = std::byte{'V'};  // somebody else's extension
    CHECK_FALSE(parse_qcow2_header(bytes, "image", 1 << 20).point);
  }
}

}  // namespace vmferry::test::qcow2
