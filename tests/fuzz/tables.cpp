// SPDX-License-Identifier: LGPL-2.1-or-later
// Entries of the L1 and L2 tables: what passes the checks may be read.
#include <algorithm>
#include <cstdlib>

#include "lib/format/qcow2/byte_reader.h"
#include "lib/format/qcow2/qcow2_tables.h"

using namespace vmferry;

namespace {

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_entry(const Qcow2RawEntry& raw, uint64_t guest, const Qcow2Geometry& g) {
  const uint64_t in_cluster = g.in_cluster(guest);
  const Qcow2L2Entry entry = decode_l2_entry(raw, in_cluster, g);
  check(entry.length > 0 && entry.length <= g.cluster_size() - in_cluster);
  if (check_l2_entry(entry, guest, g)) {
    return;
  }
  if (entry.kind == MapKind::kData) {
    const uint64_t length = std::min(entry.length, g.virtual_size - guest);
    check(entry.host_offset % g.cluster_size() == 0);
    check(entry.host_offset <= g.data_size &&
          in_cluster + length <= g.data_size - entry.host_offset);
  } else if (entry.kind == MapKind::kCompressed) {
    check(entry.host_offset >= g.cluster_size() && entry.host_offset < g.file_size);
    check(entry.stream_bytes > 0 && entry.stream_bytes <= 2 * g.cluster_size());
  }
}

}  // namespace

// The geometry, a guest offset, an L1 entry, and L2 entries up to the end.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 48) {
    return 0;
  }
  const ByteReader in(std::as_bytes(std::span(data, size)), "fuzz", "input");
  Qcow2Geometry g{.version = 2 + (in.u8(0) & 1u),
                  .cluster_bits = 9 + in.u8(1) % 13u,
                  .virtual_size = (in.u64(8) >> 1 >> in.u8(2) % 63) + 1,
                  .file_size = in.u64(16) >> 1 >> in.u8(3) % 63,
                  .data_size = 0,
                  .has_data_file = (in.u8(0) & 2) != 0,
                  .has_subclusters = (in.u8(0) & 4) != 0,
                  .l1_offset = in.u64(24) >> 8,
                  .l1_entries = in.u8(4),
                  .block = (in.u8(0) & 8) != 0 ? 512u : 1u};
  if (g.has_subclusters) {
    g.cluster_bits = std::max(g.cluster_bits, 14u);
  }
  g.data_size = g.has_data_file ? in.u64(24) >> 1 >> in.u8(5) % 63 : g.file_size;
  const uint64_t guest = in.u64(32) % g.virtual_size;

  const uint64_t table = decode_l1_entry(in.u64(40));
  if (!check_l2_table(table, g)) {
    check(table % g.cluster_size() == 0 && table >= g.cluster_size());
    check(table <= g.file_size && g.cluster_size() <= g.file_size - table);
  }
  for (uint64_t at = 48; at + 16 <= size; at += 16) {
    check_entry({in.u64(at), in.u64(at + 8)}, guest, g);
  }
  return 0;
}
