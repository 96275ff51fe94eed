// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "vmferry/describe.h"

namespace vmferry::cli {

/// The result of `vmferry info --json`, as vmferry-info(1) describes it.
nlohmann::ordered_json info_as_json(const ImageInfo& info, bool with_chain);
/// The same for people: lines of "key  value" and tables.
std::string info_as_text(const ImageInfo& info, bool with_chain);

/// "2026-11-21 07:00:11 UTC"; the machine's own zone would make two machines disagree.
std::string format_date(int64_t seconds);

}  // namespace vmferry::cli
