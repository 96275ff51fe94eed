// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/moment.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr int64_t kClockAsked = 5;  // seconds: it may be set

/// Nothing: the text is not all of that form, or there is no such day.
std::optional<struct tm> parsed(const std::string& text, const char* form) {
  struct tm parts = {};
  const char* end = ::strptime(text.c_str(), form, &parts);
  if (end == nullptr || *end != '\0' || parts.tm_sec > 59) {
    return std::nullopt;
  }
  parts.tm_isdst = -1;
  return parts;
}

/// Nothing: there is no such day, as mktime() takes the 31st of February for the 3rd of March.
std::optional<int64_t> seconds_of(struct tm parts, bool utc) {
  const int day = parts.tm_mday;
  const time_t time = utc ? ::timegm(&parts) : ::mktime(&parts);
  return time < 0 || parts.tm_mday != day ? std::nullopt : std::optional<int64_t>(time);
}

std::optional<int64_t> next_of_day(const struct tm& clock, int64_t now) {
  const time_t from = now;
  struct tm parts = {};
  ::localtime_r(&from, &parts);
  parts.tm_hour = clock.tm_hour;
  parts.tm_min = clock.tm_min;
  parts.tm_sec = clock.tm_sec;
  parts.tm_isdst = -1;
  struct tm today = parts;
  const time_t time = ::mktime(&today);
  if (time > now) {
    return time;
  }
  ++parts.tm_mday;
  return ::mktime(&parts);
}

}  // namespace

std::optional<int64_t> parse_moment(const std::string& text, int64_t now) {
  for (const char* form : {"%H:%M", "%H:%M:%S"}) {
    if (const auto clock = parsed(text, form)) {
      return next_of_day(*clock, now);
    }
  }
  for (const char* form :
       {"%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"}) {
    if (const auto parts = parsed(text, form)) {
      return seconds_of(*parts, false);
    }
    if (const auto parts = parsed(text, (std::string(form) + "Z").c_str())) {
      return seconds_of(*parts, true);
    }
  }
  return std::nullopt;
}

std::string local_time(int64_t time) {
  const time_t from = time;
  struct tm parts = {};
  ::localtime_r(&from, &parts);
  std::array<char, 64> text = {};
  return {text.data(), std::strftime(text.data(), text.size(), "%F %T %z", &parts)};
}

void wait_for_moment(int64_t time, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  for (int64_t left = 0; (left = time - ::time(nullptr)) > 0;) {
    const std::chrono::seconds nap(std::min(left, kClockAsked));
    changed.wait_for(lock, stop, nap, [] { return false; });
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
  }
}

}  // namespace vmferry
