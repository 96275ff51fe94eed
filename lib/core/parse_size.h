// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string_view>

namespace vmferry {

/// "4M", "64KiB", "1.5G", "512": bytes, in powers of 1024. Throws Error kUsage, also for 0 and for
/// what does not fit 63 bits.
uint64_t parse_size(std::string_view text);

}  // namespace vmferry
