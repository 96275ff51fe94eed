// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/utc_time.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace vmferry {

std::string utc_time(const timespec& time) {
  struct tm parts = {};
  ::gmtime_r(&time.tv_sec, &parts);
  std::array<char, 64> text = {};
  const size_t length = std::strftime(text.data(), text.size(), "%F %T", &parts);
  return fmt::format("{}.{:09}Z", std::string_view(text.data(), length), time.tv_nsec);
}

std::string utc_now() {
  struct timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return utc_time(now);
}

std::string utc_seconds(int64_t time) {
  return utc_time({.tv_sec = time, .tv_nsec = 0}).substr(0, 19) + "Z";
}

std::optional<int64_t> parse_utc_time(const std::string& text) {
  struct tm parts = {};
  if (::strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &parts) == nullptr) {
    return std::nullopt;
  }
  return ::timegm(&parts);
}

}  // namespace vmferry
