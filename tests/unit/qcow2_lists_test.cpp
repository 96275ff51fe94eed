// SPDX-License-Identifier: LGPL-2.1-or-later
#include <functional>
#include <string>
#include <vector>

#include "lib/core/printable.h"
#include "lib/format/qcow2/qcow2.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

// A file that holds a list at 4096. Only the list counts: the header is made by hand.
class ListFile : public test::MemorySource {
 public:
  ListFile() : MemorySource(std::vector<std::byte>(4096)) {}

  ListFile& add(uint64_t value, int length) {
    for (int i = length - 1; i >= 0; --i) {
      bytes().push_back(std::byte(i < 8 ? value >> 8 * i & 0xff : 0));
    }
    return *this;
  }
  ListFile& add(const std::string& text) {
    for (const char c : text) {
      bytes().push_back(std::byte(c));
    }
    return *this;
  }
  ListFile& pad() {
    bytes().resize((bytes().size() + 7) / 8 * 8);
    return *this;
  }
  // `extra` bytes of 8 at a time: VM state size, disk size, instruction count, anything.
  ListFile& snapshot(const std::string& id, const std::string& name,
                     const std::vector<uint64_t>& extra) {
    add(0x50000, 8).add(7, 4).add(id.size(), 2).add(name.size(), 2);
    add(1700000000, 4).add(5, 4).add(99, 8).add(1234, 4).add(extra.size() * 8, 4);
    for (const uint64_t word : extra) {
      add(word, 8);
    }
    return add(id).add(name).pad();
  }
  ListFile& bitmap(const std::string& name, uint32_t flags, uint8_t bits, uint32_t extra = 0) {
    add(0x60000, 8).add(1, 4).add(flags, 4).add(1, 1).add(bits, 1).add(name.size(), 2);
    return add(extra, 4).add(std::string(extra, 'e')).add(name).pad();
  }
  void cut(size_t size) { bytes().resize(size); }

  std::vector<Qcow2Snapshot> snapshots(uint32_t count) const {
    Qcow2Header header;
    header.snapshot_count = count;
    header.snapshots_offset = 4096;
    return read_qcow2_snapshots(*this, header);
  }
  std::vector<Qcow2Bitmap> bitmaps(uint32_t count, uint64_t bytes = UINT64_MAX) const {
    Qcow2Header header;
    header.cluster_bits = 9;
    header.bitmaps = {count, {4096, bytes == UINT64_MAX ? size() - 4096 : bytes}};
    return read_qcow2_bitmaps(*this, header);
  }
};

std::string corruption_in(const std::function<void()>& action) {
  try {
    action();
    return {};
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kCorrupt);
    return error.what();
  }
}

}  // namespace

TEST_CASE("qcow2 snapshots: entries with and without extra data") {
  ListFile file;
  file.snapshot("1", "monday", {uint64_t{5} << 32, 1 << 30, 42, 77});
  file.snapshot("", "", {});
  file.snapshot("12", "1", {0});
  const auto found = file.snapshots(3);
  REQUIRE(found.size() == 3);
  CHECK(found[0].id == "1");
  CHECK(found[0].name == "monday");
  CHECK(found[0].l1_offset == 0x50000);
  CHECK(found[0].l1_entries == 7);
  CHECK(found[0].date_seconds == 1700000000);
  CHECK(found[0].date_nanoseconds == 5);
  CHECK(found[0].vm_clock_nanoseconds == 99);
  CHECK(found[0].vm_state_bytes == uint64_t{5} << 32);
  CHECK(found[0].virtual_size == 1 << 30);
  CHECK(found[1].vm_state_bytes == 1234);
  CHECK(!found[1].virtual_size);
  CHECK(found[2].id == "12");
  CHECK(found[2].name == "1");
  CHECK(found[2].vm_state_bytes == 0);
  CHECK(file.snapshots(0).empty());
}

TEST_CASE("qcow2 snapshots: longer than the window of the reader, and unpadded at the end") {
  ListFile file;
  for (int i = 0; i < 40; ++i) {
    file.snapshot(std::to_string(i), std::string(65535, 'n'), {1, 2});
  }
  file.add(0, 8).add(0, 4).add(1, 2).add(0, 2).add(0, 24).add("x");
  const auto found = file.snapshots(41);
  CHECK(found[39].id == "39");
  CHECK(found[39].name.size() == 65535);
  CHECK(found[40].id == "x");
}

TEST_CASE("qcow2 snapshots: damage is said with its place") {
  ListFile file;
  file.snapshot("1", "a", {});
  CHECK(corruption_in([&] { file.snapshots(2); }) ==
        "img.qcow2: snapshot table at 4144: it goes on past the end of the file (4144 bytes)");
  file.add(0, 36).add(1025, 4);
  CHECK(corruption_in([&] { file.snapshots(2); }) ==
        "img.qcow2: snapshot table at 4180: an entry has 1025 bytes of extra data, more than 1024");
  for (size_t size = 0; size < 4096 + 56 + 5; ++size) {
    ListFile cut;
    cut.snapshot("1", "name", {1, 2}).cut(size);
    CHECK(corruption_in([&] { cut.snapshots(1); }) != "");
  }
}

TEST_CASE("qcow2 bitmaps") {
  ListFile file;
  file.bitmap("b0", 2, 16).bitmap(std::string(1023, 'n'), 1, 9, 24).bitmap("c", 0, 31);
  const auto found = file.bitmaps(3);
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "b0");
  CHECK(found[0].granularity == 65536);
  CHECK(found[0].is_auto);
  CHECK(!found[0].is_in_use);
  CHECK(found[1].name.size() == 1023);
  CHECK(found[1].is_in_use);
  CHECK(found[2].granularity == uint64_t{1} << 31);

  CHECK(corruption_in([&] { file.bitmaps(4); }) != "");
  CHECK(corruption_in([&] { file.bitmaps(0); }) ==
        "img.qcow2: bitmap directory at 4 KiB: 0 bitmaps are not 1 to 65535");
  CHECK(corruption_in([&] { file.bitmaps(65536); }) != "");
  CHECK(corruption_in([&] { file.bitmaps(1, 30); }) == "");
  CHECK(corruption_in([&] { file.bitmaps(1, 25); }) ==
        "img.qcow2: bitmap directory at 4 KiB: it is longer than it may be");
  CHECK(corruption_in([&] { file.bitmaps(1, uint64_t{64} << 20); }) != "");
  CHECK(corruption_in([&] { ListFile().bitmap("a", 0, 8).bitmaps(1); }) != "");
  CHECK(corruption_in([&] { ListFile().bitmap("a", 0, 32).bitmaps(1); }) != "");
  CHECK(corruption_in([&] { ListFile().bitmap("", 0, 16).bitmaps(1); }) != "");
  CHECK(corruption_in([&] { ListFile().bitmap(std::string(1024, 'n'), 0, 16).bitmaps(1); }) != "");
  CHECK(corruption_in(
            [&] { ListFile().add(0, 18).add(1, 2).add(UINT32_MAX, 4).add("x").bitmaps(1); }) != "");
}

TEST_CASE("names from images are printed without harm") {
  CHECK(printable("plain") == "plain");
  CHECK(printable("a\x1b[2J\x07\x7f\n") == "a?[2J???");
  CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84") ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84");
  CHECK(printable("\xc2\x9b"
                  "2J") == "??2J");  // a control sequence in one character
  CHECK(printable("\xff\xc3(\xe2\x82") == "?\?(?\?");
}
