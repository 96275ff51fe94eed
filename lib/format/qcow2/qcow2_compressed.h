// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/format/qcow2/cluster_codec.h"
#include "lib/format/qcow2/qcow2_map.h"
#include "vmferry/source.h"

namespace vmferry {

/// Fills the front of `out` with guest bytes from `offset`, where `first`, the walker's answer for
/// that place, is kCompressed. Goes on through the compressed clusters that follow while their
/// streams lie near each other in `file`, so that one read serves many of them. Returns how much it
/// filled: at least first.length. Throws Error kCorrupt for a stream that does not give a cluster.
/// Any thread, with its own walker; keeps buffers of a few MiB for the thread's lifetime.
uint64_t read_compressed(const Source& file, ClusterCodec codec, const Qcow2Geometry& geometry,
                         Qcow2Map::Walker& walker, const Mapping& first, uint64_t offset,
                         std::span<std::byte> out);

/// Is a stream so near to the window [begin, end) of the file that one read should take both?
/// Used also to ask for them in one piece ahead of time.
bool joins_window(uint64_t begin, uint64_t end, const Mapping& stream);

}  // namespace vmferry
