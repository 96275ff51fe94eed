// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// "22:00-06:00"; nothing: the text is no part of a day.
std::optional<FleetWindow> window_of(std::string_view text);
/// May a move begin at that minute of the day? No window: at any.
bool is_open(const std::vector<FleetWindow>& windows, unsigned minute);
/// "22:00-06:00, 12:00-13:00".
std::string text_of(const std::vector<FleetWindow>& windows);
/// The minute of the day, here and now.
unsigned minute_now();

}  // namespace vmferry::fleet
