// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "lib/format/qcow2/qcow2.h"

namespace vmferry {

/// Does the image count many more clusters as used than its file has bytes on disk for
/// (preallocation=metadata)? Then it pays to ask the file for holes inside clusters. The threshold
/// is that of QEMU (qcow2_detect_metadata_preallocation in block/qcow2-refcount.c), so that both
/// draw the same map. Reads no more refcounts than the file has bytes on disk; one that cannot be
/// followed is not counted. `allocated` is that number of bytes. Any thread.
bool is_preallocated(const Source& file, const Qcow2Header& header, uint64_t allocated);

}  // namespace vmferry
