// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/parse_size.h"

#include <charconv>
#include <cmath>
#include <string>

#include "vmferry/error.h"

namespace vmferry {

uint64_t parse_size(std::string_view text) {
  ErrorParts parts = {.kind = ErrorKind::kUsage,
                      .object = "'" + std::string(text) + "'",
                      .action = {},
                      .cause = "is not a valid size",
                      .hint = "a size is a number with a unit: 512, 64K, 4M, 1.5G, 2T"};
  const Error bad(parts);
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && number == 0) {
    parts.cause = "is not a size: it has to be more than 0";
    throw Error(parts);
  }
  if (error != std::errc() || !(number > 0)) {
    throw bad;
  }
  std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  int power = 0;
  if (!unit.empty() && unit != "B") {
    constexpr std::string_view kUnits = "KMGTPE";
    const size_t found =
        kUnits.find(unit.front() >= 'a' ? static_cast<char>(unit.front() - 32) : unit.front());
    unit.remove_prefix(1);
    if (found == std::string_view::npos || !(unit.empty() || unit == "iB" || unit == "B")) {
      throw bad;
    }
    power = static_cast<int>(found) + 1;
  }
  const double bytes = std::ldexp(number, 10 * power);
  if (power == 0 && bytes != std::floor(bytes)) {
    throw bad;  // a unit was forgotten
  }
  if (bytes < 1 || bytes >= std::ldexp(1.0, 63)) {
    throw bad;
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace vmferry
