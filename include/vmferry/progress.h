// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// Counters of running work. Written by workers, readable by any thread at any time. Bytes.
struct Progress {
  std::atomic<uint64_t> data_total = 0;     ///< what the source calls data, once known
  std::atomic<bool> total_known = false;    ///< data_total is final
  std::atomic<uint64_t> data_done = 0;      ///< of that, dealt with so far
  std::atomic<uint64_t> bytes_written = 0;  ///< handed to the sink as data
  std::atomic<uint64_t> bytes_shared = 0;   ///< of these, shared with the source's blocks
  /// How long a store that the work waits for has been silent; may be empty. Set before the work
  /// begins.
  std::function<std::chrono::milliseconds()> silent_for = {};
};

}  // namespace VMFERRY_API vmferry
