// SPDX-License-Identifier: LGPL-2.1-or-later

#include "lib/format/qcow2/qcow2_tables.h"
#include "lib/format/qcow2/byte_reader.h"
#include "tests/unit/catch.h"

using namespace vmferry;

namespace {

Qcow2Geometry geometry(uint32_t cluster_bits, uint64_t file_size, uint32_t version = 3) {
  return {.version = version,
          .cluster_bits = cluster_bits,
          .virtual_size = uint64_t{1} << 40,
          .file_size = file_size,
          .data_size = file_size};
}

Qcow2L2Entry decode(uint64_t raw, const Qcow2Geometry& g) { return decode_l2_entry({raw}, 0, g); }

std::string fault(uint64_t raw, const Qcow2Geometry& g, uint64_t guest_offset = 0) {
  const auto found = check_l2_entry(decode(raw, g), guest_offset, g);
  return found ? found->cause : "";
}

constexpr uint64_t kCopied = uint64_t{1} << 63;
constexpr uint64_t kCompressed = uint64_t{1} << 62;

}  // namespace

TEST_CASE("byte reader: big endian, and never past the end") {
  const uint8_t raw[] = {1, 2, 3, 4, 5, 6, 7, 8, 'x'};
  const ByteReader in(std::as_bytes(std::span(raw)), "img", "thing");
  CHECK(in.u8(8) == 'x');
  CHECK(in.u16(0) == 0x0102);
  CHECK(in.u32(1) == 0x02030405);
  CHECK(in.u64(0) == 0x0102030405060708);
  CHECK(in.string(8, 1) == "x");
  CHECK(in.bytes(9, 0).empty());
  CHECK_THROWS_AS(in.u8(9), Error);
  CHECK_THROWS_AS(in.u64(2), Error);
  CHECK_THROWS_AS(in.bytes(1, UINT64_MAX), Error);
  CHECK_THROWS_AS(in.bytes(UINT64_MAX, 2), Error);
  CHECK_THROWS_WITH(in.u32(6), "img: thing at 6: 4 bytes are needed here, but it has only 9");
  CHECK_THROWS_WITH(ByteReader(std::as_bytes(std::span(raw)), "img", "thing", 100).u16(8),
                    "img: thing at 108: 2 bytes are needed here, but it has only 9");
}

TEST_CASE("L2 entries of every kind") {
  const Qcow2Geometry g = geometry(16, 1 << 30);
  CHECK(decode(0, g).kind == MapKind::kUnallocated);
  CHECK(decode(kCopied, g).kind == MapKind::kUnallocated);
  CHECK(decode(1, g).kind == MapKind::kZero);
  const auto kept = decode(kCopied | 0x50001, g);
  CHECK(kept.kind == MapKind::kZero);
  CHECK(kept.host_offset == 0x50000);
  const auto data = decode(kCopied | 0x50000, g);
  CHECK(data.kind == MapKind::kData);
  CHECK(data.host_offset == 0x50000);
  // Reserved bits mean nothing.
  CHECK(decode(0x3f000000000501fe, g).host_offset == 0x50000);
  CHECK(decode_l1_entry(kCopied | 0x3f000000000501ff) == 0x50000);
}

TEST_CASE("compressed entries: the fields move with the cluster size") {
  for (const uint32_t bits : {9u, 16u, 21u}) {
    const Qcow2Geometry g = geometry(bits, uint64_t{1} << 50);
    const unsigned x = 62 - (bits - 8);
    const uint64_t offset = (uint64_t{1} << 40) + 5 * 512 + 100;
    const uint64_t most_sectors = (uint64_t{1} << (bits - 8)) - 1;
    for (const uint64_t sectors : {uint64_t{0}, most_sectors}) {
      const auto entry = decode(kCompressed | sectors << x | offset, g);
      CHECK(entry.kind == MapKind::kCompressed);
      CHECK(entry.host_offset == offset);
      CHECK(entry.stream_bytes == (sectors + 1) * 512 - 100);
      CHECK(decode(kCopied | kCompressed | sectors << x | offset, g).host_offset == offset);
    }
  }
}

TEST_CASE("plain clusters must be aligned, behind the header and inside the file") {
  const Qcow2Geometry g = geometry(16, 0x60000);
  CHECK(fault(0x50000, g) == "");
  CHECK(fault(0x50200, g) == "points to 328192, which is not a multiple of the cluster size");
  CHECK(fault(0x8000, g) == "points to 32768, which is not a multiple of the cluster size");
  CHECK(fault(0x60000, g) == "points to 393216, past the end of the file (393216 bytes)");
  CHECK(fault(0x00ffffffffff0000, g) != "");
  CHECK(fault(0x50000, geometry(16, 0x5ffff)) ==
        "points to 327680, past the end of the file (393215 bytes)");
  // Of the last cluster only the part below the virtual size is needed.
  Qcow2Geometry odd = geometry(16, 0x50064);
  odd.virtual_size = 0x10064;
  CHECK(fault(0x50000, odd, 0x10000) == "");
  odd.virtual_size = 0x10065;
  CHECK(fault(0x50000, odd, 0x10000) != "");
}

TEST_CASE("zero clusters: aligned, and not in version 2") {
  CHECK(fault(1, geometry(16, 0x50000)) == "");
  CHECK(fault(0x7f0001, geometry(16, 0x50000)) == "");  // kept place behind the end: not read
  CHECK(fault(0x50201, geometry(16, 0x60000)) ==
        "points to 328192, which is not a multiple of the cluster size");
  CHECK(fault(1, geometry(16, 0x50000, 2)) == "has a zero flag, which version 2 does not know");
}

TEST_CASE("compressed clusters begin inside the file") {
  const Qcow2Geometry g = geometry(16, 0x50001);
  CHECK(fault(kCompressed | 0x50000, g) == "");
  CHECK(fault(kCompressed | 0x50001, g) ==
        "points to 327681, past the end of the file (327681 bytes)");
  CHECK(fault(kCompressed | 0xffff, g) == "points to 65535, into the header");
  CHECK(fault(kCompressed | (uint64_t{1} << 53), g) != "");
}

TEST_CASE("L2 tables must be whole") {
  const Qcow2Geometry g = geometry(16, 0x60000);
  CHECK(!check_l2_table(0x50000, g));
  CHECK(check_l2_table(0x50200, g));
  CHECK(check_l2_table(0x200, g));
  CHECK(check_l2_table(0x60000, g));
  CHECK(check_l2_table(0x50000, geometry(16, 0x5ffff)));
  CHECK(!check_l2_table(0x50000, g));
}

TEST_CASE("nothing else can be where the L1 table is") {
  Qcow2Geometry g = geometry(16, 0x60000);
  g.l1_offset = 0x30000;
  g.l1_entries = 8193;
  for (const uint64_t inside : {0x30000, 0x40000}) {
    const std::string cause = "points to " + std::to_string(inside) + ", into the L1 table";
    CHECK(check_l2_table(inside, g)->cause == cause);
    CHECK(fault(inside, g) == cause);
  }
  CHECK(!check_l2_table(0x20000, g));
  CHECK(!check_l2_table(0x50000, g));
}

TEST_CASE("subclusters: runs of one kind, to the end of the cluster at most") {
  Qcow2Geometry g = geometry(16, 0x60000);
  g.has_subclusters = true;
  CHECK(g.subcluster_size() == 2048);
  CHECK(g.l2_coverage() == uint64_t{4096} << 16);
  // 0 to 3 allocated, 4 and 5 zero, 31 allocated, the rest shows what is below.
  const Qcow2RawEntry raw{0x50000, 0x0000003080000000 | 0xf};
  const auto at = [&](uint64_t in_cluster) { return decode_l2_entry(raw, in_cluster, g); };
  CHECK(at(0).kind == MapKind::kData);
  CHECK(at(0).length == 4 * 2048);
  CHECK(at(0).host_offset == 0x50000);
  CHECK(at(2049).length == 4 * 2048 - 2049);
  CHECK(at(4 * 2048).kind == MapKind::kZero);
  CHECK(at(4 * 2048).length == 2 * 2048);
  CHECK(at(6 * 2048).kind == MapKind::kUnallocated);
  CHECK(at(6 * 2048).length == 25 * 2048);
  CHECK(at(65535).kind == MapKind::kData);
  CHECK(at(65535).length == 1);
  const auto whole = decode_l2_entry({0x50000, 0xffffffff}, 0, g);
  CHECK(whole.kind == MapKind::kData);
  CHECK(whole.length == 65536);
  CHECK(decode_l2_entry({0x50001, 0xffffffff}, 0, g).kind == MapKind::kData);  // bit 0 is no flag
  CHECK(decode_l2_entry({0, uint64_t{0xffffffff} << 32}, 0, g).kind == MapKind::kZero);
  CHECK(decode_l2_entry({kCompressed | 0x50000, UINT64_MAX}, 5, g).kind == MapKind::kCompressed);
}

TEST_CASE("subclusters: what cannot be") {
  Qcow2Geometry g = geometry(16, 0x50800);
  g.has_subclusters = true;
  const auto fault_of = [&](Qcow2RawEntry raw, uint64_t in_cluster = 0) {
    const auto found = check_l2_entry(decode_l2_entry(raw, in_cluster, g), in_cluster, g);
    return found ? found->cause : "";
  };
  const std::string two_things = "has a bitmap that says two things of one subcluster";
  CHECK(fault_of({0x40000, 0x8000000080000000}) == two_things);
  CHECK(fault_of({0x40000, 0x8000000080000000}, 5) == two_things);
  CHECK(fault_of({0, 1}) == two_things);
  CHECK(fault_of({0x40200, 0}) == "points to 262656, which is not a multiple of the cluster size");
  // Only what is allocated has to be in the file.
  CHECK(fault_of({0x50000, 1}) == "");
  CHECK(fault_of({0x50000, 3}) == "points to 327680, past the end of the file (329728 bytes)");
  CHECK(fault_of({0x50000, 2}, 2048) != "");
}

TEST_CASE("external data file: clusters are where the guest has them") {
  Qcow2Geometry g = geometry(16, 0x50000);
  g.has_data_file = true;
  g.data_size = 0x28000;
  CHECK(fault(0x10000, g, 0x10000) == "");
  CHECK(fault(0x10000, g, 0x18000) == "");
  CHECK(fault(0x10000, g, 0x20000) != "");
  CHECK(fault(0x20000, g, 0x20000) == "points to 131072, past the end of the file (163840 bytes)");
  CHECK(fault(kCompressed | 0x10000, g) ==
        "is compressed, which an external data file cannot hold");
  CHECK(decode(kCopied, g).kind == MapKind::kData);
  CHECK(decode(0, g).kind == MapKind::kUnallocated);
}
