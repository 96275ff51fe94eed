// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmferry {

/// "bytes FIRST-LAST/TOTAL" (RFC 9110, 14.4). Bytes; LAST is among them.
struct ContentRange {
  struct Part {
    uint64_t first = 0;
    uint64_t last = 0;
    bool operator==(const Part&) const = default;
  };
  std::optional<Part> part;       ///< nothing: "bytes */TOTAL", none of it
  std::optional<uint64_t> total;  ///< nothing: the server does not say
};

/// The head of a server's answer, as far as it matters to who asked for a range. Whoever sent it
/// may be hostile: a value that is not as it has to be is not there.
struct HttpAnswer {
  int status = 0;  ///< 0: there was no answer
  std::optional<ContentRange> range;
  std::optional<uint64_t> length;  ///< of the body (bytes)
  std::string etag;                ///< a strong one, with its quotes; empty: there is none
  std::string last_modified;       ///< as it was sent; empty: it is not said
  std::string encoding;            ///< of the body; empty: none
  /// Two lines do not go together, or a number is none; empty: nothing is wrong.
  std::string contradiction;
};

/// Takes one line of a head, with or without the end of the line. A status line begins a new head:
/// what an earlier one said ("100 Continue") is forgotten.
void read_head_line(HttpAnswer& answer, std::string_view line);

/// The value of a Content-Range; nothing: it is malformed, or its numbers make no sense.
std::optional<ContentRange> parse_content_range(std::string_view value);

/// Which version of an object was opened.
struct HttpVersion {
  uint64_t size = 0;          ///< bytes
  std::string etag;           ///< as in HttpAnswer
  std::string last_modified;  ///< as in HttpAnswer

  bool can_be_told() const { return !etag.empty() || !last_modified.empty(); }
};

/// What differs between the version that was opened and the one that an answer is about, in words;
/// empty: nothing.
std::string change_of(const HttpVersion& opened, const HttpAnswer& answer);

/// Why an answer with status 206 is not what [first, last] of an object of `total` bytes was asked
/// for; empty: it is. `total`: nothing if that is not known yet.
std::string fault_of_part(const HttpAnswer& answer, const ContentRange::Part& asked,
                          std::optional<uint64_t> total);

}  // namespace vmferry
