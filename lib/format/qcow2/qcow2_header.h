// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/format/qcow2/qcow2.h"
#include "vmferry/format.h"

namespace vmferry {

/// The largest cluster, and so the most that a header with its extensions can take.
constexpr uint64_t kQcow2MaxClusterSize = uint64_t{2} << 20;

/// The longest L1 table (QEMU's limit), of the disk or of a snapshot.
constexpr uint64_t kQcow2MaxL1Bytes = uint64_t{32} << 20;

/// read_qcow2_header() without the reading: `start` is the file from its first byte, a whole
/// cluster or all there is; `name` goes into messages; `file_size` bounds the tables. Pure: any
/// thread.
Qcow2Header parse_qcow2_header(std::span<const std::byte> start, const std::string& name,
                               uint64_t file_size);

/// Puts into `header` what links the image with others.
void add_link(const ImageLink& link, Qcow2Header& header);

/// The header as the bytes that a file of version 3 begins with, whole sectors of 512. Of the
/// extensions it writes that of the backing format, and the state that the image holds. Pure.
std::vector<std::byte> encode_qcow2_header(const Qcow2Header& header);

// The state that an image holds is in an extension of our own, which QEMU keeps and does not know:
// "vmferry1", the size of the disk, when it was taken (INT64_MIN: unknown), the length of the id in
// 4 bytes, the id, the name.
constexpr uint32_t kQcow2PointExtension = 0x766d6650;
constexpr char kQcow2PointMark[] = "vmferry1";
constexpr uint64_t kQcow2PointHead = 28;

}  // namespace vmferry
