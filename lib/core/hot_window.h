// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// Bytes. So much is read at a time to be looked at, and written from there, while the processor's
/// cache still holds it: a fraction of the second-level cache of today's processors.
constexpr uint32_t kHotWindow = 512 << 10;

/// Reads the range window by window and appends what of it is zero, and what is not (split_zeros).
/// `look` (may be empty) sees the bytes, in order. Throws Error, also kCancelled. REQUIRES:
/// window.size() is a multiple of `granularity`.
void find_zeros(const Source& source, const Extent& range, std::span<std::byte> window,
                uint32_t granularity, const std::stop_token& stop, std::vector<Extent>& found,
                const std::function<void(uint64_t, std::span<const std::byte>)>& look = {});

}  // namespace vmferry
