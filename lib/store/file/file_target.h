// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "vmferry/target.h"

namespace vmferry {

/// check_target_options() for a path.
void check_path_target(const std::string& path, const TargetOptions& options);

/// open_target() for a path: a new file, or the block device that it leads to. Links are followed.
std::unique_ptr<Sink> open_path_target(const std::string& path, const TargetOptions& options);

}  // namespace vmferry
