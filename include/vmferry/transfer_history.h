// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/history.h"
#include "vmferry/observer.h"
#include "vmferry/source.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

namespace VMFERRY_API vmferry {

/// A state that the target keeps.
struct KeptPoint {
  Point point;
  std::string name;  ///< in the target
};

/// The numbers are sums over all states, but for virtual_bytes and zero_bytes, which are about the
/// last one.
struct HistoryResult : TransferResult {
  std::vector<KeptPoint> points;  ///< oldest first
};

/// Copies the states `points` of the source (indices of History::points(), ascending), then the
/// disk as it is now: the first one as a whole, of each that follows what differs from the one
/// before. Each but the last is marked in the target. Everything else is as for transfer(): all of
/// it gets the name, or nothing. With Verify::kYes the first state is verified as transfer() does,
/// and of the others what differs in the source or in the target; with kReading each is read back
/// as a whole. What is complete of an adopted target is gone on from; a state that was begun is
/// copied anew. `options.digest` is told of the disk as it is now.
/// REQUIRES: source is a History; there are points; the target can mark, and has the size of the
/// first one.
HistoryResult transfer_history(const Source& source, const std::vector<size_t>& points,
                               Target& target, const TransferOptions& options = {},
                               Observer* observer = nullptr);

/// As can_resume(), for such a copy.
bool can_resume_history(const Source& source, const std::vector<size_t>& points,
                        const Location& target, const NetworkOptions& network);

}  // namespace VMFERRY_API vmferry
