// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry::cli {

/// Prints how `after` differs from `before`, as diff(1) -u does, in colours on a terminal.
void print_diff(const std::string& name, const std::string& before, const std::string& after);

}  // namespace vmferry::cli
