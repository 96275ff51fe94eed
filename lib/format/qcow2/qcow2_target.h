// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lib/format/qcow2/cluster_codec.h"
#include "vmferry/target.h"

namespace vmferry {

/// A qcow2 image of version 3 that is to be made.
struct NewQcow2 {
  uint32_t cluster_bits = 16;
  uint64_t guest_size = 0;  ///< bytes; the image has whole sectors of 512
  /// Nothing: clusters are stored as they are.
  std::optional<ClusterCodec> codec = std::nullopt;
  int level = 0;  ///< of the codec
};

/// Can its tables map the whole disk, whatever that holds, and be as long as QEMU reads them?
bool can_map(const NewQcow2& image);

/// A target for the guest's bytes that makes the image in `file`, which is new and empty. What is
/// zero is not allocated. Each cluster is packed by the thread that hands it over, and what is
/// packed is written at once, wherever the file ends then. The header comes last: before flush()
/// has made all else durable, the file is no qcow2 image.
/// Memory: a MiB for each thread that writes, and what Qcow2NewTables takes.
std::unique_ptr<Target> make_qcow2_target(std::unique_ptr<Target> file, const NewQcow2& image);

}  // namespace vmferry
