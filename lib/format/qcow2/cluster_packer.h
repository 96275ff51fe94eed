// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lib/format/qcow2/cluster_codec.h"

namespace vmferry {

/// The counterpart of decompress_cluster(): packs cluster after cluster with one context. One
/// thread at a time.
class ClusterPacker {
 public:
  virtual ~ClusterPacker() = default;
  /// Packs `cluster` into the front of `out`, as one stream that QEMU reads. Returns its length; 0:
  /// it does not fit.
  virtual size_t pack(std::span<const std::byte> cluster, std::span<std::byte> out) = 0;
};

/// Which levels a codec has, and which is used if none is asked for.
struct PackerLevels {
  int least = 0;
  int most = 0;
  int usual = 0;
};
PackerLevels packer_levels(ClusterCodec codec);

/// REQUIRES: `level` is one of the codec's.
std::unique_ptr<ClusterPacker> make_cluster_packer(ClusterCodec codec, int level);

}  // namespace vmferry
