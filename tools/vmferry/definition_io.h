// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry::cli {

/// A whole file, or standard input for "-"; but no more than one byte beyond what a definition may
/// have, so that who reads it can tell that it is too long.
std::string read_definition(const std::string& path);

/// Prints how `after` differs from `before`, as diff(1) -u does, in colours on a terminal.
void print_diff(const std::string& name, const std::string& before, const std::string& after);

}  // namespace vmferry::cli
