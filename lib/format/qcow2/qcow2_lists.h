// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "lib/format/qcow2/byte_reader.h"
#include "lib/format/qcow2/qcow2.h"

// One entry of the snapshot table and of the bitmap directory, decoded without I/O: `in` begins
// with the entry and may go on after it. All throw Error kCorrupt. Any thread.

namespace vmferry {

/// What comes before the variable part of an entry.
constexpr uint64_t kSnapshotEntryHead = 40;
constexpr uint64_t kBitmapEntryHead = 24;

/// The bytes that the entry takes, without what pads it to 8. Needs the head only.
uint64_t snapshot_entry_bytes(const ByteReader& in);
uint64_t bitmap_entry_bytes(const ByteReader& in);

/// REQUIRES: `in` holds the entry wholly.
Qcow2Snapshot parse_snapshot_entry(const ByteReader& in);
Qcow2Bitmap parse_bitmap_entry(const ByteReader& in);

}  // namespace vmferry
