// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/address.h"

#include <algorithm>

namespace vmferry {

bool is_address(std::string_view text) {
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) {
    return false;
  }
  return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+';
  });
}

std::string without_secrets(std::string_view text) {
  const size_t first = text.find(':');
  const size_t end = text.find("://") == first ? first : text.find(':', first + 1);
  if (first == std::string_view::npos || end == std::string_view::npos) {
    return std::string(text);
  }
  return std::string(text.substr(0, end)) + (end == first ? "://..." : ":...");
}

}  // namespace vmferry
