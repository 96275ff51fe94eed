// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/hot_window.h"

#include <algorithm>

#include "lib/core/zeros.h"
#include "vmferry/error.h"

namespace vmferry {

void find_zeros(const Source& source, const Extent& range, std::span<std::byte> window,
                uint32_t granularity, const std::stop_token& stop, std::vector<Extent>& found,
                const std::function<void(uint64_t, std::span<const std::byte>)>& look) {
  for (uint64_t at = range.offset; at < range.end();) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    const uint64_t end = std::min(range.end(), (at / window.size() + 1) * window.size());
    const auto bytes = window.first(end - at);
    source.read_at(at, bytes);
    split_zeros(at, bytes, granularity, found);
    if (look) {
      look(at, bytes);
    }
    at = end;
  }
}

}  // namespace vmferry
