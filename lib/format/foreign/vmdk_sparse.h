// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "lib/format/foreign/image_bytes.h"
#include "vmferry/source.h"

namespace vmferry {

/// A file of grains: "hosted sparse extent" (KDMV), or that of ESX (COWD).
struct VmdkSparse {
  uint64_t sectors = 0;           ///< of the guest's disk that it holds
  uint64_t descriptor_at = 0;     ///< bytes; 0: it has none
  uint64_t descriptor_bytes = 0;  ///< as it says
};

/// Has `file` the mark of one? Throws Error when it cannot be read.
bool is_vmdk_sparse(const Source& file);

/// Reads the header, and checks that each grain lies in the file: QEMU reads zeros beyond its end.
/// Throws Error (kCorrupt, kUnsupported). `most_tables`: TableWalker's bound.
VmdkSparse check_vmdk_sparse(const Source& file, uint64_t most_tables = TableWalker::kMost);

}  // namespace vmferry
