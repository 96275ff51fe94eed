// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vmferry/history.h"
#include "vmferry/transfer_history.h"

// Snapshots that are copied along with a disk.

namespace vmferry::cli {

/// For CLI11: what is wrong with the name of a snapshot, perhaps out of a variable that was never
/// set; or nothing.
std::string refuse_empty_name(const std::string& name);

/// The index of the snapshot with that name. Throws as choose_points().
size_t choose_point(const Source& source, const std::string& name);

/// Which states of the source `--snapshots` means: "all", or names with commas between. Throws
/// Error: kUsage where the source cannot have any, kNotFound and kConflict for a name that means
/// none or several.
std::vector<size_t> choose_points(const Source& source, const std::vector<std::string>& wanted);

/// A line for each thing that is not what it was: a name that the target cannot carry, memory of
/// the machine that no disk can keep.
std::vector<std::string> losses(const std::vector<KeptPoint>& points);

/// Their names in the target.
std::string names_of(const std::vector<KeptPoint>& points);

nlohmann::ordered_json as_json(const std::vector<KeptPoint>& points);

}  // namespace vmferry::cli
