// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/cluster_batch.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/core/zeros.h"

namespace vmferry {
namespace {

// More threads than a copy has: nobody waits for another's memory.
constexpr size_t kMostBatches = 65;

}  // namespace

ClusterPackers::ClusterPackers(uint32_t cluster_bits, std::optional<ClusterCodec> codec, int level,
                               uint64_t batch)
    : cluster_(uint64_t{1} << cluster_bits),
      codec_(codec),
      level_(level),
      memory_(kMostBatches, batch) {}

void ClusterPackers::pack(ClusterBatch& batch) {
  std::unique_ptr<ClusterPacker> packer;
  const std::span<const std::byte> data = batch.data.bytes();
  size_t used = 0;
  for (size_t at = 0; at < data.size(); at += cluster_) {
    const auto cluster = data.subspan(at, std::min<size_t>(cluster_, data.size() - at));
    const uint64_t index = (batch.offset + at) / cluster_;
    if (is_zero(cluster)) {
      batch.zeros.push_back(index);
      continue;
    }
    size_t bytes = 0;
    if (codec_) {
      if (!packer) {
        packer = take();
        batch.memory = memory_.acquire({});
      }
      bytes = pack_cluster(*packer, cluster, batch.memory->bytes().subspan(used));
    }
    if (bytes == 0) {
      batch.plain.push_back(index);
    } else {
      batch.packed.push_back({index, used, bytes});
      used += bytes;
    }
  }
  if (packer) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(packer));
  }
}

/// 0: it is not shorter than a cluster.
size_t ClusterPackers::pack_cluster(ClusterPacker& packer, std::span<const std::byte> cluster,
                                    std::span<std::byte> out) const {
  out = out.first(std::min<size_t>(out.size(), cluster_ - 1));
  if (cluster.size() == cluster_) {
    return packer.pack(cluster, out);
  }
  std::vector<std::byte> whole(cluster_);  // the last one of the disk
  std::memcpy(whole.data(), cluster.data(), cluster.size());
  return packer.pack(whole, out);
}

std::unique_ptr<ClusterPacker> ClusterPackers::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<ClusterPacker> packer = std::move(idle_.back());
      idle_.pop_back();
      return packer;
    }
  }
  return make_cluster_packer(*codec_, level_);
}

}  // namespace vmferry
