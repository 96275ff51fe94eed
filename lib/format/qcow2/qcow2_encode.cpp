// SPDX-License-Identifier: LGPL-2.1-or-later
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "lib/core/rounding.h"
#include "lib/format/qcow2/byte_writer.h"
#include "lib/format/qcow2/qcow2_header.h"

// The fields are those of QEMU's docs/interop/qcow2.txt.

namespace vmferry {
namespace {

constexpr uint64_t kFixedPart = 112;
constexpr uint64_t kExtensionHead = 8;  // also all of the end marker
constexpr uint32_t kBackingFormatExtension = 0xe2792aca;

std::string text_of(const Point& point) {
  std::string text(kQcow2PointHead, '\0');
  ByteWriter out{std::as_writable_bytes(std::span(text))};
  out.text(0, kQcow2PointMark);
  out.u64(8, point.size);
  out.u64(16, static_cast<uint64_t>(point.seconds.value_or(std::numeric_limits<int64_t>::min())));
  out.u32(24, point.id.size());
  return text + point.id + point.name;
}

}  // namespace

void add_link(const ImageLink& link, Qcow2Header& header) {
  header.backing_name = link.backing;
  if (!link.backing.empty()) {
    header.backing_format = link.backing_format.name();
  }
  header.point = link.point;
}

std::vector<std::byte> encode_qcow2_header(const Qcow2Header& header) {
  const std::string format = header.backing_format.value_or("");
  const std::string point = header.point ? text_of(*header.point) : "";
  uint64_t at = kFixedPart;
  const auto end_of = [](uint64_t begin, const std::string& text) {
    return text.empty() ? begin : begin + kExtensionHead + round_up(text.size(), 8);
  };
  const uint64_t name_at = end_of(end_of(at, format), point) + kExtensionHead;
  std::vector<std::byte> bytes(round_up(name_at + header.backing_name.size(), 512));
  ByteWriter out(bytes);
  for (const auto& [type, text] :
       {std::pair{kBackingFormatExtension, format}, std::pair{kQcow2PointExtension, point}}) {
    if (!text.empty()) {
      out.u32(at, type);
      out.u32(at + 4, text.size());
      out.text(at + kExtensionHead, text);
      at = end_of(at, text);
    }
  }
  out.u32(0, 0x514649fb);
  out.u32(4, 3);
  if (!header.backing_name.empty()) {
    out.u64(8, name_at);
    out.u32(16, header.backing_name.size());
    out.text(name_at, header.backing_name);
  }
  out.u32(20, header.cluster_bits);
  out.u64(24, header.virtual_size);
  out.u32(36, header.l1_entries);
  out.u64(40, header.l1_offset);
  out.u64(48, header.refcount_table_offset);
  out.u32(56, header.refcount_table_clusters);
  out.u32(60, header.snapshot_count);
  out.u64(64, header.snapshots_offset);
  out.u64(72, header.incompatible_features);
  out.u32(96, header.refcount_order);
  out.u32(100, kFixedPart);
  out.u8(104, static_cast<uint64_t>(header.codec));
  return bytes;
}

}  // namespace vmferry
