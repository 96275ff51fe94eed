// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vmferry {

/// An image file as bytes: `start`, then zeros up to `file_size`.
struct EmptyQcow2 {
  std::vector<std::byte> start;
  uint64_t file_size = 0;
};

/// A qcow2 image (version 3, clusters of 64 KiB) of exactly `size` bytes that holds nothing: a
/// guest sees all of its backing image. `backing` is that image's name for QEMU (a path, or
/// "rbd:pool/image:id=x"), at most 1023 bytes; `backing_format` its format ("raw").
/// Throws Error kUsage, about `object`, for what the format cannot say: a size that is 0, no
/// multiple of 512 bytes (QEMU cuts others) or beyond 2 PiB, a name that is empty or too long.
/// Pure.
EmptyQcow2 make_empty_qcow2(uint64_t size, const std::string& backing,
                            const std::string& backing_format, const std::string& object);

}  // namespace vmferry
