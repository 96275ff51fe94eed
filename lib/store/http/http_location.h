// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry {

/// An object of a web server.
struct HttpLocation {
  std::string url;       ///< without user, password and fragment
  std::string user;      ///< empty: none
  std::string password;  ///< of that user
  /// The name used in messages: without user, password and query, in which a signature may be.
  std::string display;
};

/// Is `text` an address of a web server, well-formed or not?
bool names_http(std::string_view text);

/// Throws Error kUsage, which does not show what may be a secret.
HttpLocation parse_http_location(std::string_view text);

/// Scheme, host and port of an address. Two addresses of one origin may be told the same password.
/// Empty: it is malformed, or neither http nor https.
std::string http_origin(const std::string& url);

}  // namespace vmferry
