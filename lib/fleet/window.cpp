// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace vmferry::fleet {
namespace {

constexpr unsigned kMinutesOfDay = 24 * 60;

/// "22:00" in minutes.
std::optional<unsigned> minutes_of(std::string_view text) {
  const auto digit = [&](size_t at) { return text[at] >= '0' && text[at] <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4)) {
    return std::nullopt;
  }
  const auto number = [&](size_t at) {
    return static_cast<unsigned>((text[at] - '0') * 10 + (text[at + 1] - '0'));
  };
  // "24:00" is how people say the end of a day.
  const unsigned minutes = number(0) * 60 + number(3);
  if (number(3) >= 60 || minutes > kMinutesOfDay) {
    return std::nullopt;
  }
  return minutes % kMinutesOfDay;
}

}  // namespace

std::optional<FleetWindow> window_of(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<unsigned> from = minutes_of(text.substr(0, dash));
  const std::optional<unsigned> to = minutes_of(text.substr(dash + 1));
  if (!from || !to || *from == *to) {
    return std::nullopt;
  }
  return FleetWindow{.from = *from, .to = *to};
}

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
