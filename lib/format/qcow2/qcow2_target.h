// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lib/format/qcow2/cluster_codec.h"
#include "vmferry/format.h"
#include "vmferry/target.h"

namespace vmferry {

/// A qcow2 image of version 3 that is to be made.
struct NewQcow2 {
  uint32_t cluster_bits = 16;
  uint64_t guest_size = 0;  ///< bytes; the image has whole sectors of 512
  /// Nothing: clusters are stored as they are.
  std::optional<ClusterCodec> codec = std::nullopt;
  int level = 0;  ///< of the codec
  ImageLink link = {};
};

/// Can its tables map the whole disk, whatever that holds, and be as long as QEMU reads them?
bool can_map(const NewQcow2& image);
/// Throws Error kUsage, about `object`, where they cannot.
void require_mappable(const NewQcow2& image, const std::string& object);

/// A target for the guest's bytes that makes the image in `file`, which is new and empty. What is
/// zero is not allocated, or a cluster of zeros where something else would show. Each cluster is
/// packed by the thread that hands it over, and what is packed is written at once, wherever the
/// file ends then. The header comes last, with the name: before publish() the file is no qcow2
/// image. A state that is marked is an internal snapshot; an image that has some has refcounts of
/// 32 bits.
/// Memory: a MiB for each thread that writes, and what Qcow2NewTables takes; with states, for a
/// moment, what Qcow2Counts does.
std::unique_ptr<Target> make_qcow2_target(std::unique_ptr<Target> file, const NewQcow2& image);

}  // namespace vmferry
