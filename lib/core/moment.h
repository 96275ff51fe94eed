// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

namespace vmferry {

/// A moment to come, as a person writes it: "02:00" (the next time that the clock here says so),
/// "2026-11-29 02:00" or "2026-11-29T02:00:30" (local time), "2026-11-29 02:00Z" (UTC). Seconds
/// since 1970; nothing: it is none. `now`: the same.
std::optional<int64_t> parse_moment(const std::string& text, int64_t now);

/// "2026-11-29 02:00:00 +0100".
std::string local_time(int64_t time);

/// Waits until the clock of this host is there, also if that is set meanwhile. Throws kCancelled
/// when stopped.
void wait_for_moment(int64_t time, std::stop_token stop);

}  // namespace vmferry
