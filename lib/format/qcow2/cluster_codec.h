// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace vmferry {

/// How the compressed clusters of an image are packed. The values are those of the qcow2 header.
enum class ClusterCodec : uint8_t { kDeflate = 0, kZstd = 1 };

/// Unpacks one cluster: `in` holds the stream and maybe garbage after it, `out` is exactly one
/// cluster and is filled wholly. Answers an empty string, or what is wrong with the stream (then
/// `out` holds nothing of use). What is accepted is what QEMU accepts: deflate without a zlib
/// header, of which the first cluster counts; any number of zstd frames, which must end with it.
/// Any thread may call it; each keeps its own decompressor for its lifetime.
std::string_view decompress_cluster(ClusterCodec codec, std::span<const std::byte> in,
                                    std::span<std::byte> out);

}  // namespace vmferry
