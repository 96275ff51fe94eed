// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/moment.h"

#include <cstdlib>
#include <ctime>
#include "tests/unit/catch.h"

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr int64_t kNoon = 1'764'331'200;  // 2025-11-28 12:00:00 UTC

/// The zone of this process while it lives.
class Zone {
 public:
  explicit Zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

TEST_CASE("a moment to come is read as people write it", "[core]") {
  const Zone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
  CHECK(parse_moment("2025-11-28 12:00Z", 0) == kNoon);
  CHECK(parse_moment("2025-11-28T12:00:30Z", 0) == kNoon + 30);
  CHECK(parse_moment("2025-11-28 13:00", 0) == kNoon);
  CHECK(parse_moment("2025-11-28T13:00:01", 0) == kNoon + 1);
  CHECK(parse_moment("2025-07-28 14:00", 0) == parse_moment("2025-07-28 12:00Z", 0));
  CHECK(local_time(kNoon) == "2025-11-28 13:00:00 +0100");
}

TEST_CASE("a time of day is the next one", "[core]") {
  const Zone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
  CHECK(parse_moment("13:00:05", kNoon) == kNoon + 5);
  CHECK(parse_moment("13:00", kNoon) == kNoon + 24 * 3600);
  CHECK(parse_moment("02:00", kNoon) == kNoon + 13 * 3600);
  // The night in which the clock is set forward: 02:30 is not there, 04:00 is.
  const int64_t evening = *parse_moment("2025-03-29 22:00", 0);
  CHECK(parse_moment("04:00", evening) == evening + 5 * 3600);
}

TEST_CASE("what is no moment is not taken for one", "[core]") {
  for (const char* text : {"", "2", "25:00", "02:60", "tonight", "2025-02-30 02:00", "02:00 ",
                           "2025-11-28", "2025-11-28 02:00Zulu", "02:00:61", "-1:00"}) {
    INFO(text);
    CHECK_FALSE(parse_moment(text, kNoon));
  }
}

TEST_CASE("waiting for a moment ends there, or when it is stopped", "[core]") {
  wait_for_moment(::time(nullptr) - 10, {});
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(wait_for_moment(::time(nullptr) + 1000, stop.get_token()), Error);
}

}  // namespace
}  // namespace vmferry
