// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vmferry/trim.h"

namespace vmferry::cli {

/// --trim and what refines it. `wanted` is set by --trim.
void add_trim_options(CLI::App& app, bool& wanted, TrimOptions& options);

/// An array, one object for each part.
nlohmann::ordered_json parts_as_json(const std::vector<TrimmedPart>& parts);
/// A line for each part; empty if there are none.
std::string parts_in_words(const std::vector<TrimmedPart>& parts);

}  // namespace vmferry::cli
