// SPDX-License-Identifier: LGPL-2.1-or-later
#include <zlib.h>

#include "lib/inspect/gpt.h"
#include "lib/inspect/mbr.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/inspect.h"

// Partition tables built byte by byte, good ones and hostile ones.

using namespace vmferry;
using test::SparseDisk;

namespace {

constexpr uint64_t kMiB = 1 << 20;

struct Entry {
  unsigned type;
  uint64_t start;
  uint64_t sectors;
  unsigned boot = 0;
  Chs first = {};
  Chs last = {};
};

void put_chs(SparseDisk& disk, uint64_t at, const Chs& chs) {
  disk.put_int(at, 1, chs.head);
  disk.put_int(at + 1, 1, (chs.cylinder >> 2 & 0xc0) | chs.sector);
  disk.put_int(at + 2, 1, chs.cylinder);
}

/// A table of up to four entries in the sector.
void put_table(SparseDisk& disk, uint64_t sector, const std::vector<Entry>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const uint64_t at = sector * 512 + 446 + i * 16;
    disk.put_int(at, 1, entries[i].boot);
    put_chs(disk, at + 1, entries[i].first);
    disk.put_int(at + 4, 1, entries[i].type);
    put_chs(disk, at + 5, entries[i].last);
    disk.put_int(at + 8, 4, entries[i].start);
    disk.put_int(at + 12, 4, entries[i].sectors);
  }
  disk.put_int(sector * 512 + 510, 2, 0xaa55);
}

uint32_t crc_of(const std::vector<std::byte>& bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

struct Gpt {
  uint32_t sector = 512;
  uint64_t lba = 1;
  uint64_t other = 0;
  uint64_t entries_lba = 2;
  uint32_t entries = 128;
  uint32_t entry_size = 128;
  uint32_t header_size = 92;
  uint64_t table_bytes = 16384;  // what the checksum is made of
};

void put_gpt_entry(SparseDisk& disk, const Gpt& gpt, unsigned index, uint64_t first, uint64_t last,
                   std::u16string_view name) {
  const uint64_t at = gpt.entries_lba * gpt.sector + uint64_t{index} * gpt.entry_size;
  disk.put_int(at, 4, 0x0fc63daf);  // 0FC63DAF-8483-4772-8E79-3D69D8477DE4: Linux filesystem
  disk.put_int(at + 4, 2, 0x8483);
  disk.put_int(at + 6, 2, 0x4772);
  disk.put_int(at + 8, 8, 0xe47d47d8693d798e);
  disk.put_int(at + 16, 8, 0x1122334455667700 + index);
  disk.put_int(at + 24, 8, 0x99);
  disk.put_int(at + 32, 8, first);
  disk.put_int(at + 40, 8, last);
  for (size_t i = 0; i < name.size(); ++i) {
    disk.put_int(at + 56 + i * 2, 2, name[i]);
  }
}

void put_gpt_header(SparseDisk& disk, const Gpt& gpt) {
  const uint64_t at = gpt.lba * gpt.sector;
  disk.put(at, "EFI PART");
  disk.put_int(at + 8, 4, 0x10000);
  disk.put_int(at + 12, 4, gpt.header_size);
  disk.put_int(at + 16, 4, 0);
  disk.put_int(at + 24, 8, gpt.lba);
  disk.put_int(at + 32, 8, gpt.other);
  disk.put_int(at + 40, 8, 34);
  disk.put_int(at + 48, 8, disk.size() / gpt.sector - 34);
  disk.put_int(at + 56, 8, 0x1234);
  disk.put_int(at + 72, 8, gpt.entries_lba);
  disk.put_int(at + 80, 4, gpt.entries);
  disk.put_int(at + 84, 4, gpt.entry_size);
  disk.put_int(at + 88, 4, crc_of(disk.get(gpt.entries_lba * gpt.sector, gpt.table_bytes)));
  if (gpt.header_size <= gpt.sector) {
    disk.put_int(at + 16, 4, crc_of(disk.get(at, gpt.header_size)));
  }
}

void put_guard(SparseDisk& disk) { put_table(disk, 0, {{0xee, 1, disk.size() / 512 - 1}}); }

bool has_note(const std::vector<std::string>& notes, const std::string& part) {
  for (const std::string& note : notes) {
    if (note.find(part) != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("an MBR gives its primary partitions") {
  SparseDisk disk(100 * kMiB);
  disk.put_int(440, 4, 0xcafe0815);
  put_table(disk, 0, {{0x83, 2048, 4096, 0x80}, {}, {0x07, 8192, 1000}});
  const Contents contents = inspect(disk);
  REQUIRE(contents.table);
  CHECK(contents.table->scheme == PartitionScheme::kMbr);
  CHECK(contents.table->id == "0xcafe0815");
  REQUIRE(contents.table->partitions.size() == 2);
  const Partition& first = contents.table->partitions[0];
  CHECK(first.number == 1);
  CHECK(first.offset == kMiB);
  CHECK(first.length == 2 * kMiB);
  CHECK(first.type == "0x83");
  CHECK(first.type_name == "Linux");
  CHECK(first.uuid == "cafe0815-01");
  CHECK(first.is_active);
  CHECK(contents.table->partitions[1].number == 3);
  CHECK(contents.table->partitions[1].type_name == "HPFS/NTFS/exFAT");
  CHECK(contents.table->notes.empty());
}

TEST_CASE("a bare MBR of 512 bytes is read, and says that its partitions lie elsewhere") {
  SparseDisk disk(512);
  put_table(disk, 0, {{0x83, 2048, 4096}, {0x05, 8192, 8192}});
  const Contents contents = inspect(disk);
  REQUIRE(contents.table);
  REQUIRE(contents.table->partitions.size() == 2);
  CHECK(contents.table->partitions[1].role == PartitionRole::kExtended);
  CHECK(has_note(contents.table->notes, "partition 1 ends at byte 3145728, beyond the end"));
  CHECK(has_note(contents.table->notes, "goes on at sector 8192, beyond the end"));
}

TEST_CASE("what is no MBR is none") {
  SparseDisk disk(kMiB);
  CHECK_FALSE(inspect(disk).table);  // no signature
  put_table(disk, 0, {{0x83, 2048, 4096, 0x12}});
  CHECK_FALSE(inspect(disk).table);  // a boot flag that no table has
  SparseDisk small(511);
  CHECK_FALSE(inspect(small).table);
  SparseDisk empty(0);
  CHECK_FALSE(inspect(empty).table);
}

TEST_CASE("logical partitions are followed through their chain") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x83, 2048, 2048}, {0x0f, 10000, 50000}});
  put_table(disk, 10000, {{0x83, 63, 1000}, {0x05, 20000, 2000}});
  put_table(disk, 30000, {{0x82, 100, 1500}, {0x05, 5000, 2000}});  // backwards: odd, but legal
  put_table(disk, 15000, {{0x8e, 1, 10}});
  const auto table = inspect(disk).table;
  REQUIRE(table);
  REQUIRE(table->partitions.size() == 5);
  CHECK(table->partitions[2].number == 5);
  CHECK(table->partitions[2].role == PartitionRole::kLogical);
  CHECK(table->partitions[2].offset == 10063 * 512);
  CHECK(table->partitions[3].number == 6);
  CHECK(table->partitions[3].offset == 30100 * 512);
  CHECK(table->partitions[4].number == 7);
  CHECK(table->partitions[4].offset == 15001 * 512);
  CHECK(table->notes.empty());
}

TEST_CASE("a chain of logical partitions that runs in a circle ends") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x05, 10000, 50000}});
  put_table(disk, 10000, {{0x83, 63, 1000}, {0x05, 20000, 2000}});
  put_table(disk, 30000, {{0x83, 63, 1000}, {0x05, 0, 2000}});
  const auto table = inspect(disk).table;
  REQUIRE(table);
  CHECK(table->partitions.size() == 3);
  CHECK(has_note(table->notes, "comes back to sector 10000"));
}

TEST_CASE("a chain of logical partitions without end is cut") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x05, 100, 100000}});
  for (unsigned i = 0; i < 1000; ++i) {
    put_table(disk, 100 + i * 10, {{0x83, 1, 5}, {0x05, (i + 1) * 10, 10}});
  }
  const auto table = inspect(disk).table;
  REQUIRE(table);
  CHECK(table->partitions.size() == 129);
  CHECK(has_note(table->notes, "more than 128 links"));
}

TEST_CASE("broken links are noted, not followed") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x05, 10000, 50000}, {0x85, 0xfffffff0, 0xffffffff}});
  put_table(disk, 10000, {{0x83, 0xffffffff, 0xffffffff}, {0x05, 20000, 2000}, {0x83, 1, 60000}});
  const auto table = inspect(disk).table;
  REQUIRE(table);
  CHECK(has_note(table->notes, "partition 5 is not inside the extended partition"));
  CHECK(has_note(table->notes, "sector 30000 is not a partition table"));
  CHECK(has_note(table->notes, "goes on at sector 4294967280, beyond the end"));
  // The third entry of an EBR means nothing unless it makes sense.
  CHECK(table->partitions.size() == 3);
  CHECK(table->partitions[2].offset == (uint64_t{10000} + 0xffffffff) * 512);
}

TEST_CASE("CHS addresses are compared with the sectors") {
  // 255 heads, 63 sectors: sector 63 is 0/1/1; sector 16064 is 0/254/63.
  CHECK_FALSE(check_chs({0, 1, 1}, {0, 254, 63}, 63, 16064));
  CHECK_FALSE(check_chs({0, 32, 33}, {130, 170, 40}, 2048, 2099199));    // fdisk's usual
  CHECK_FALSE(check_chs({0, 1, 1}, {999, 15, 63}, 63, 1007999));         // 16 heads
  CHECK_FALSE(check_chs({0, 0, 0}, {0, 0, 0}, 2048, 4095));              // not filled in
  CHECK_FALSE(check_chs({1023, 254, 63}, {1023, 254, 63}, 2048, 4095));  // marked as unused
  CHECK_FALSE(check_chs({5, 0, 1}, {1023, 254, 63}, 80325, 400000000));  // ends too far out
  CHECK(check_chs({0, 1, 1}, {0, 254, 63}, 2048, 16064));
  CHECK(check_chs({0, 1, 0}, {0, 254, 63}, 63, 16064));  // there is no sector 0
  CHECK(check_chs({1023, 254, 63}, {5, 254, 63}, 63, 16064));
}

TEST_CASE("odd CHS addresses are shown and noted, and the sectors count") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x06, 2048, 4096, 0, {7, 3, 9}, {500, 200, 60}}});
  const auto table = inspect(disk).table;
  REQUIRE(table);
  CHECK(table->partitions[0].offset == kMiB);
  CHECK(table->partitions[0].first_chs == Chs{7, 3, 9});
  CHECK(table->partitions[0].last_chs == Chs{500, 200, 60});
  CHECK(has_note(table->notes, "partition 1: its CHS addresses 7/3/9 to 500/200/60"));
}

TEST_CASE("overlaps and entries without length are noted") {
  SparseDisk disk(100 * kMiB);
  put_table(disk, 0, {{0x83, 2048, 4096}, {0x83, 4096, 4096}, {0x82, 100, 0}});
  const auto table = inspect(disk).table;
  REQUIRE(table);
  CHECK(table->partitions.size() == 2);
  CHECK(has_note(table->notes, "partitions 1 and 2 overlap"));
  CHECK(has_note(table->notes, "partition 3 of type 0x82 has no length"));
}

TEST_CASE("a GPT gives names, types and identities") {
  for (const uint32_t sector : {512U, 4096U}) {
    SparseDisk disk(64 * kMiB);
    put_guard(disk);
    Gpt gpt;
    gpt.sector = sector;
    gpt.other = disk.size() / sector - 1;
    put_gpt_entry(disk, gpt, 0, 2048, 4095, u"r\u00fcck \U0001f600");
    put_gpt_entry(disk, gpt, 5, 5000, 5999, u"bad\xd800half\x0007");
    put_gpt_header(disk, gpt);
    Gpt backup = gpt;
    std::swap(backup.lba, backup.other);
    put_gpt_header(disk, backup);
    const auto table = inspect(disk).table;
    REQUIRE(table);
    CHECK(table->scheme == PartitionScheme::kGpt);
    CHECK(table->sector_size == sector);
    CHECK(table->id == "00001234-0000-0000-0000-000000000000");
    REQUIRE(table->partitions.size() == 2);
    CHECK(table->partitions[0].number == 1);
    CHECK(table->partitions[0].offset == 2048 * uint64_t{sector});
    CHECK(table->partitions[0].length == 2048 * uint64_t{sector});
    CHECK(table->partitions[0].type == "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    CHECK(table->partitions[0].type_name == "Linux filesystem");
    CHECK(table->partitions[0].uuid == "55667700-3344-1122-9900-000000000000");
    CHECK(table->partitions[0].name == "r\u00fcck \U0001f600");
    CHECK(table->partitions[1].number == 6);
    CHECK(table->partitions[1].name == "bad?half?");
    CHECK(table->notes.empty());
  }
}

TEST_CASE("a damaged GPT is replaced by its backup") {
  SparseDisk disk(64 * kMiB);
  put_guard(disk);
  Gpt gpt;
  gpt.other = disk.size() / 512 - 1;
  put_gpt_entry(disk, gpt, 0, 2048, 4095, u"one");
  put_gpt_header(disk, gpt);
  Gpt backup;
  backup.lba = gpt.other;
  backup.other = 1;
  backup.entries_lba = gpt.other - 32;
  put_gpt_entry(disk, backup, 0, 2048, 4095, u"two");
  put_gpt_header(disk, backup);
  REQUIRE(inspect(disk).table->partitions[0].name == "one");

  SECTION("the header") {
    disk.put(512 + 60, "x");
    const auto table = inspect(disk).table;
    CHECK(table->partitions.at(0).name == "two");
    CHECK(has_note(table->notes, "the checksum of its header is wrong"));
  }
  SECTION("an entry") {
    disk.put(2 * 512 + 1000, "x");
    const auto table = inspect(disk).table;
    CHECK(table->partitions.at(0).name == "two");
    CHECK(has_note(table->notes, "the checksum of its entries is wrong"));
  }
  SECTION("both") {
    disk.put(512 + 60, "x");
    disk.put(gpt.other * 512 + 60, "x");
    const Contents contents = inspect(disk);
    CHECK(has_note(contents.notes, "announces a GPT"));
    CHECK(contents.table->partitions.at(0).type == "0xee");
  }
  SECTION("the backup") {
    disk.put(gpt.other * 512 + 60, "x");
    const auto table = inspect(disk).table;
    CHECK(table->partitions.at(0).name == "one");
    CHECK(has_note(table->notes, "the backup GPT in sector"));
  }
}

TEST_CASE("hostile GPT headers are refused") {
  const auto refuses = [](Gpt gpt, const std::string& cause) {
    SparseDisk disk(64 * kMiB);
    gpt.other = disk.size() / 512 - 1;
    put_gpt_header(disk, gpt);
    const GptParse parse = parse_gpt_header(disk.get(gpt.lba * 512, 512), 1);
    put_guard(disk);
    CHECK(inspect(disk).table->scheme == PartitionScheme::kMbr);
    CHECK_FALSE(parse.header);
    CHECK(parse.cause.find(cause) != std::string::npos);
  };
  Gpt gpt;
  gpt.entries = 0xffffffff;
  gpt.entry_size = 4096;
  refuses(gpt, "has 4294967295 entries");
  gpt = {};
  gpt.entry_size = 8;
  refuses(gpt, "entries are 8 bytes long");
  gpt.entry_size = 0;
  refuses(gpt, "entries are 0 bytes long");
  gpt.entry_size = 0xfffffff8;
  gpt.entries = 1;
  refuses(gpt, "entries are 4294967288 bytes long");
  gpt = {};
  gpt.header_size = 0xffffffff;
  refuses(gpt, "4294967295 bytes long");
  gpt.header_size = 16;
  refuses(gpt, "16 bytes long");

  // A good header whose entries lie outside.
  SparseDisk disk(64 * kMiB);
  put_guard(disk);
  Gpt outside;
  outside.other = 7;
  put_gpt_header(disk, outside);
  disk.put_int(512 + 72, 8, 0xffffffffffffffff);
  disk.put_int(512 + 16, 4, 0);
  disk.put_int(512 + 16, 4, crc_of(disk.get(512, 92)));
  CHECK(inspect(disk).table->scheme == PartitionScheme::kMbr);
}

TEST_CASE("GPT entries may say anything about places") {
  SparseDisk disk(64 * kMiB);
  put_guard(disk);
  Gpt gpt;
  gpt.other = disk.size() / 512 - 1;
  put_gpt_entry(disk, gpt, 0, 0xfffffffffffffff0, 0xffffffffffffffff, u"far");
  put_gpt_entry(disk, gpt, 1, 100, 50, u"backwards");
  put_gpt_entry(disk, gpt, 2, 0, 0xffffffffffffffff, u"all");
  put_gpt_header(disk, gpt);
  const auto table = inspect(disk).table;
  REQUIRE(table);
  REQUIRE(table->partitions.size() == 3);
  CHECK(table->partitions[1].length == 0);
  for (const Partition& partition : table->partitions) {
    CHECK(partition.end() >= partition.offset);
  }
  CHECK(has_note(table->notes, "beyond the end of the disk"));
}

TEST_CASE("looking into a disk reads little of it, however large") {
  SparseDisk disk(uint64_t{64} << 40);
  put_guard(disk);
  Gpt gpt;
  gpt.other = disk.size() / 512 - 1;
  for (unsigned i = 0; i < 128; ++i) {
    const uint64_t start = 2048 + uint64_t{i} * 1000000000;
    put_gpt_entry(disk, gpt, i, start, start + 999999999, u"p");
    disk.put(start * 512 + 100, "data");
  }
  put_gpt_header(disk, gpt);
  disk.bytes_read = 0;
  CHECK(inspect(disk).table->partitions.size() == 128);
  CHECK(disk.bytes_read < 4 * kMiB);
}
