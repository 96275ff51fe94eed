// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/store/http/http.h"
#include "lib/store/stores.h"

namespace vmferry {
namespace {

const HttpLocation& object(const Location& location) { return location.inside<HttpLocation>(); }

std::optional<Location> parse(std::string_view text) {
  if (!names_http(text)) {
    return std::nullopt;
  }
  HttpLocation location = parse_http_location(text);
  std::string display = location.display;
  return Location(kHttpStore, std::move(display), std::move(location));
}

}  // namespace

bool names_http(std::string_view text) {
  constexpr std::string_view kSchemes[] = {"http://", "https://"};
  return std::any_of(std::begin(kSchemes), std::end(kSchemes), [text](std::string_view scheme) {
    return text.size() >= scheme.size() &&
           std::equal(scheme.begin(), scheme.end(), text.begin(),
                      [](char wanted, char c) { return wanted == (c | 0x20) || wanted == c; });
  });
}

// It can only be read.
const Store kHttpStore = {
    .parse = parse,
    .open = [](const Location& at,
               const NetworkOptions& network) { return open_http_source(object(at), network); },
    .is_read_once = true,
};

}  // namespace vmferry
