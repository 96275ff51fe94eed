// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/inspect.h"

using namespace vmferry;
using test::SparseDisk;

TEST_CASE("file systems that point to far places are known by them") {
  SECTION("NTFS with its MFT in the middle") {
    SparseDisk disk(uint64_t{1} << 40);
    disk.put(0, "\xeb\x52\x90NTFS    ");
    disk.put_int(11, 2, 512);
    disk.put_int(13, 1, 8);
    disk.put_int(21, 1, 0xf8);
    disk.put_int(40, 8, disk.size() / 512 - 1);
    const uint64_t mft = uint64_t{1} << 39;
    disk.put_int(48, 8, mft / 4096);
    disk.put_int(56, 8, 2);
    disk.put_int(64, 1, 0xf6);  // records of 1 KiB
    disk.put_int(68, 1, 1);
    disk.put_int(72, 8, 0x1234567890abcdef);
    disk.put_int(510, 2, 0xaa55);
    disk.put(mft, "FILE");
    const uint64_t volume = mft + 3 * 1024;
    disk.put(volume, "FILE");
    disk.put_int(volume + 20, 2, 56);    // where attributes begin
    disk.put_int(volume + 24, 4, 1024);  // bytes in use
    disk.put_int(volume + 28, 4, 1024);
    disk.put_int(volume + 56, 4, 0x60);  // the volume's name
    disk.put_int(volume + 60, 4, 40);
    disk.put_int(volume + 56 + 16, 4, 8);
    disk.put_int(volume + 56 + 20, 2, 24);
    disk.put_int(volume + 56 + 24, 8, 0x0054004600410052);  // "RAFT"
    disk.put_int(volume + 96, 4, 0xffffffff);
    const Contents contents = inspect(disk);
    REQUIRE(contents.whole_disk);
    CHECK(contents.whole_disk->type == "ntfs");
    CHECK(contents.whole_disk->label == "RAFT");
    CHECK_FALSE(contents.table);  // its boot code is no partition table
  }
}
