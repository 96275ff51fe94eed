// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "vmferry/target.h"

namespace vmferry {

/// A target that writes a raw disk to standard output, zeros as zeros. Throws Error where that is a
/// terminal, or what is being read.
std::unique_ptr<Target> open_standard_output(const TargetOptions& options);

}  // namespace vmferry
