// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_location.h"

#include <curl/curl.h>

#include <memory>
#include <new>
#include <optional>

#include "vmferry/error.h"

namespace vmferry {
namespace {

struct UrlCleaner {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlCleaner>;

Url new_url() {
  Url url(curl_url());
  if (!url) {
    throw std::bad_alloc();
  }
  return url;
}

/// Nothing: the address has no such part.
std::optional<std::string> part_of(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) {
    return std::nullopt;
  }
  std::string found(text);
  curl_free(text);
  return found;
}

Error malformed(std::string_view text, std::string cause) {
  return Error({.kind = ErrorKind::kUsage,
                .object = std::string(text.substr(0, text.find("://"))) + "://...",
                .action = {},
                .cause = "malformed address: " + std::move(cause),
                .hint = "write https://HOST[:PORT]/PATH, with %20 for a space"});
}

void check(CURLUcode code, std::string_view text) {
  if (code == CURLUE_OUT_OF_MEMORY) {
    throw std::bad_alloc();
  }
  if (code != CURLUE_OK) {
    throw malformed(text, curl_url_strerror(code));
  }
}

std::string origin_of(const Url& url) {
  return part_of(url, CURLUPART_SCHEME).value_or("") + "://" +
         part_of(url, CURLUPART_HOST).value_or("") + ":" +
         part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
}

}  // namespace

HttpLocation parse_http_location(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    throw malformed(text, "it has a byte of zero");
  }
  const Url url = new_url();
  check(curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0), text);
  HttpLocation location;
  for (const auto& [part, value] : {std::pair(CURLUPART_USER, &location.user),
                                    std::pair(CURLUPART_PASSWORD, &location.password)}) {
    char* decoded = nullptr;
    const CURLUcode code = curl_url_get(url.get(), part, &decoded, CURLU_URLDECODE);
    if (code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD) {
      continue;
    }
    check(code, text);
    *value = decoded;
    curl_free(decoded);
  }
  for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT}) {
    check(curl_url_set(url.get(), part, nullptr, 0), text);
  }
  location.url = part_of(url, CURLUPART_URL).value_or("");
  const bool has_query = part_of(url, CURLUPART_QUERY).has_value();
  check(curl_url_set(url.get(), CURLUPART_QUERY, nullptr, 0), text);
  location.display = part_of(url, CURLUPART_URL).value_or("") + (has_query ? "?..." : "");
  return location;
}

std::string http_origin(const std::string& address) {
  const Url url = new_url();
  if (curl_url_set(url.get(), CURLUPART_URL, address.c_str(), 0) != CURLUE_OK) {
    return {};
  }
  const std::string scheme = part_of(url, CURLUPART_SCHEME).value_or("");
  return scheme == "http" || scheme == "https" ? origin_of(url) : "";
}

}  // namespace vmferry
