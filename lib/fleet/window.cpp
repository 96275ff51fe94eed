// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace vmferry::fleet {

bool is_open(const std::vector<FleetWindow>& windows, unsigned minute) {
  return windows.empty() ||
         std::any_of(windows.begin(), windows.end(), [&](const FleetWindow& window) {
           const bool over_midnight = window.to < window.from;
           return over_midnight ? minute >= window.from || minute < window.to
                                : minute >= window.from && minute < window.to;
         });
}

std::string text_of(const std::vector<FleetWindow>& windows) {
  std::string text;
  for (const FleetWindow& window : windows) {
    text += fmt::format("{}{:02}:{:02}-{:02}:{:02}", text.empty() ? "" : ", ", window.from / 60,
                        window.from % 60, window.to / 60, window.to % 60);
  }
  return text;
}

unsigned minute_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  ::localtime_r(&now, &local);
  return static_cast<unsigned>(local.tm_hour * 60 + local.tm_min);
}

}  // namespace vmferry::fleet
