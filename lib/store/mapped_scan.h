// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmferry/extent.h"

namespace vmferry {

/// Looks for zeros in [offset, offset + length) of a file through a short-lived mapping, which
/// costs about half of what read() does, since nothing is copied. Appends runs that cover the range
/// (see split_zeros). False, and nothing appended, if the range cannot be mapped. A page that
/// cannot be had (the file was cut, the medium failed) raises SIGBUS; a handler, set once per
/// process and only for this, turns it into an Error. SIGBUS that is not ours goes to the handler
/// that was there before. Any thread.
bool scan_mapped(int fd, uint64_t offset, uint64_t length, uint32_t granularity,
                 const std::string& name, std::vector<Extent>& out);

}  // namespace vmferry
