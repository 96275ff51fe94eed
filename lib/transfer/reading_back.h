// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmferry/transfer.h"

namespace vmferry {

/// Sink::read_back(), which throws Error kUsage where nothing can be read back.
std::unique_ptr<Source> read_back(Sink& sink);

/// Reads all of what was written to `sink` and tells the blocks that do not hold what `digest`
/// says, in order; one that it was not told of should be zero. `options`: how many threads, how
/// much memory, when to stop. Throws Error, also kCancelled.
std::vector<uint64_t> blocks_read_differently(Sink& sink, const DiskDigest& digest,
                                              const TransferOptions& options, Progress& counters);

}  // namespace vmferry
