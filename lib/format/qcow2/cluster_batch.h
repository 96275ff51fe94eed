// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "lib/format/qcow2/cluster_codec.h"
#include "lib/format/qcow2/cluster_packer.h"
#include "vmferry/buffer.h"

namespace vmferry {

/// A cluster of the guest that is stored packed: where it is in the batch's memory.
struct PackedCluster {
  uint64_t guest_cluster = 0;
  size_t position = 0;
  size_t bytes = 0;
  uint64_t host_offset = 0;
};

/// What becomes of the clusters of one piece of the disk.
struct ClusterBatch {
  uint64_t offset = 0;               ///< in the disk
  Slice data;                        ///< of the disk
  std::vector<uint64_t> zeros = {};  ///< clusters of zeros
  std::vector<uint64_t> plain = {};
  uint64_t plain_offset = 0;  ///< in the file: of the first, which the others follow
  std::optional<Buffer> memory = {};
  std::vector<PackedCluster> packed = {};
};

/// Decides how clusters are stored, and packs them. Any thread.
class ClusterPackers {
 public:
  /// Nothing for `codec`: clusters are stored as they are. `batch`: bytes of the longest.
  ClusterPackers(uint32_t cluster_bits, std::optional<ClusterCodec> codec, int level,
                 uint64_t batch);
  void pack(ClusterBatch& batch);

 private:
  size_t pack_cluster(ClusterPacker& packer, std::span<const std::byte> cluster,
                      std::span<std::byte> out) const;
  std::unique_ptr<ClusterPacker> take();

  const uint64_t cluster_;
  const std::optional<ClusterCodec> codec_;
  const int level_;
  BufferPool memory_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ClusterPacker>> idle_;
};

}  // namespace vmferry
