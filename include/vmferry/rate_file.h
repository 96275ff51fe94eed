// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <string>

#include "vmferry/api.h"
#include "vmferry/copy.h"

namespace VMFERRY_API vmferry {

/// The rate that a file holds: bytes a second, as "50M" (in powers of 1024), and perhaps an end of
/// line. It is read now, and again when somebody asks, but once a second at most. Throws Error
/// where it cannot be read now, or holds something else. When that is so later, the last rate goes
/// on to count, and `notice` (may be empty) is told once. What it answers may be called from any
/// thread.
RateNow rate_from_file(const std::string& path, std::function<void(const std::string&)> notice);

}  // namespace VMFERRY_API vmferry
