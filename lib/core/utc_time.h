// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

namespace vmferry {

/// "2026-11-27 14:55:04.397702426Z".
std::string utc_time(const timespec& time);
std::string utc_now();
/// "2026-11-27 14:55:04Z", of seconds since 1970.
std::string utc_seconds(int64_t time);
/// Seconds since 1970 of such a text, without its fraction. Nothing: it is none.
std::optional<int64_t> parse_utc_time(const std::string& text);

}  // namespace vmferry
