// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/rehearse.h"

namespace vmferry::rehearsal {

/// What was seen of a copy that was started.
struct WatchedCopy {
  std::string why_not;  ///< empty: it came up
  double seconds = 0;
  std::string console;  ///< the end of what it said
};

/// Looks at the copy until it shows `sign`, is off, stands still, or has had its time. `started`:
/// when it began. Throws Error; kCancelled: stopped.
WatchedCopy watch_copy(Guest& copy, UpSign sign, const RehearsalRequest& request,
                       const RehearsalContext& context, bool has_console,
                       std::chrono::steady_clock::time_point started);

}  // namespace vmferry::rehearsal
