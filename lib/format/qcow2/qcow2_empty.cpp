// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_empty.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/format/qcow2/byte_writer.h"
#include "vmferry/error.h"

// QEMU's docs/interop/qcow2.txt. The file: header, refcount table, one refcount block, L1 table.

namespace vmferry {
namespace {

constexpr uint32_t kClusterBits = 16;
constexpr uint64_t kCluster = uint64_t{1} << kClusterBits;
constexpr uint64_t kL2Coverage = kCluster * (kCluster / 8);  // guest bytes for each L1 entry
constexpr uint64_t kLargestL1 = uint64_t{32} << 20;          // bytes; QEMU opens no larger one
constexpr uint64_t kLongestName = 1023;
constexpr uint64_t kLongestFormat = 15;
constexpr uint32_t kHeaderLength = 104;
constexpr uint32_t kBackingFormat = 0xe2792aca;

constexpr uint64_t kRefcountTable = 1 * kCluster;
constexpr uint64_t kRefcountBlock = 2 * kCluster;
constexpr uint64_t kL1Table = 3 * kCluster;
// One block of 16-bit counts is enough, even with the largest L1 table.
static_assert(kL1Table / kCluster + kLargestL1 / kCluster <= kCluster / 2);

void check(uint64_t size, const std::string& backing, const std::string& format,
           const std::string& object) {
  auto refuse = [&](std::string cause) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = object,
                 .action = "create as an empty qcow2 image",
                 .cause = std::move(cause)});
  };
  if (size == 0) {
    refuse("a disk of no bytes");
  }
  if (size % 512 != 0) {
    refuse(fmt::format("{} bytes are no multiple of 512", size));
  }
  if (size > kLargestL1 / 8 * kL2Coverage) {
    refuse(fmt::format("{} bytes are too many", size));
  }
  if (backing.empty() || backing.size() > kLongestName) {
    refuse(fmt::format("the name of the backing image has {} bytes, not 1 to {}", backing.size(),
                       kLongestName));
  }
  if (format.empty() || format.size() > kLongestFormat) {
    refuse("'" + format + "' is not the name of a format");
  }
}

void write_header(ByteWriter& out, uint64_t size, uint64_t l1_entries, const std::string& backing,
                  const std::string& format) {
  const uint64_t extension_end = kHeaderLength + 8 + (format.size() + 7) / 8 * 8;
  const uint64_t name_at = extension_end + 8;  // after the end marker
  out.u32(0, 0x514649fb);
  out.u32(4, 3);
  out.u64(8, name_at);
  out.u32(16, backing.size());
  out.u32(20, kClusterBits);
  out.u64(24, size);
  out.u32(36, l1_entries);
  out.u64(40, kL1Table);
  out.u64(48, kRefcountTable);
  out.u32(56, 1);
  out.u32(96, 4);  // counts of 1 << 4 bits
  out.u32(100, kHeaderLength);
  out.u32(kHeaderLength, kBackingFormat);
  out.u32(kHeaderLength + 4, format.size());
  out.text(kHeaderLength + 8, format);
  out.text(name_at, backing);
}

}  // namespace

EmptyQcow2 make_empty_qcow2(uint64_t size, const std::string& backing,
                            const std::string& backing_format, const std::string& object) {
  check(size, backing, backing_format, object);
  const uint64_t l1_entries = size / kL2Coverage + (size % kL2Coverage != 0 ? 1 : 0);
  const uint64_t l1_clusters = std::max<uint64_t>(1, (l1_entries * 8 + kCluster - 1) / kCluster);
  EmptyQcow2 image;
  image.file_size = kL1Table + l1_clusters * kCluster;
  image.start.resize(kL1Table);
  ByteWriter out(image.start);
  write_header(out, size, l1_entries, backing, backing_format);
  out.u64(kRefcountTable, kRefcountBlock);
  for (uint64_t cluster = 0; cluster < image.file_size / kCluster; ++cluster) {
    out.u16(kRefcountBlock + cluster * 2, 1);
  }
  return image;
}

}  // namespace vmferry
