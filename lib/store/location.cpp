// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/location.h"

#include <algorithm>
#include <vector>

#include "lib/core/shell_word.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

Error malformed(std::string_view text, std::string cause) {
  return Error(
      {.kind = ErrorKind::kUsage,
       .object = std::string(text),
       .action = {},
       .cause = std::move(cause),
       .hint = "an RBD volume is written rbd:POOL/IMAGE, a snapshot rbd:POOL/IMAGE@SNAPSHOT"});
}

/// A piece of an rbd: location up to the first unescaped one of `stops`; the escapes are taken out.
struct Token {
  std::string text;
  char stop = 0;  ///< 0 at the end of the text
};

Token take(std::string_view& rest, std::string_view stops) {
  Token token;
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\' && !rest.empty()) {
      token.text += rest.front();
      rest.remove_prefix(1);
    } else if (stops.find(c) != std::string_view::npos) {
      token.stop = c;
      return token;
    } else {
      token.text += c;
    }
  }
  return token;
}

void parse_options(std::string_view text, std::string_view rest, RbdLocation& location) {
  while (!rest.empty()) {
    Token key = take(rest, "=:");
    if (key.stop != '=' || key.text.empty()) {
      throw malformed(text, "'" + key.text + "' after the image is not KEY=VALUE");
    }
    location.options[key.text] = take(rest, ":").text;
  }
}

RbdLocation parse_rbd(std::string_view text) {
  std::string_view rest = text.substr(4);
  std::vector<std::string> names;
  Token token = take(rest, "/@:");
  for (; token.stop == '/'; token = take(rest, "/@:")) {
    names.push_back(token.text);
  }
  names.push_back(token.text);
  if (names.size() < 2) {
    throw malformed(text, "does not name a pool");
  }
  if (names.size() > 3) {
    throw malformed(text, "has too many slashes");
  }

  RbdLocation location;
  location.pool = names.front();
  location.image = names.back();
  if (names.size() == 3) {
    location.name_space = names[1];
  }
  if (token.stop == '@') {
    token = take(rest, ":");
    location.snapshot = token.text;
    if (location.snapshot.empty()) {
      throw malformed(text, "the snapshot name after '@' is missing");
    }
  }
  if (location.pool.empty()) {
    throw malformed(text, "does not name a pool");
  }
  if (location.image.empty()) {
    throw malformed(text, "does not name an image");
  }
  if (names.size() == 3 && location.name_space.empty()) {
    throw malformed(text, "has an empty namespace");
  }
  parse_options(text, rest, location);
  return location;
}

/// "nbd://host" and the like: a scheme of letters before "://".
bool looks_like_address(std::string_view text) {
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) {
    return false;
  }
  return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+';
  });
}

std::string joined(const RbdLocation& location) {
  std::string name = location.pool;
  if (!location.name_space.empty()) {
    name += "/" + location.name_space;
  }
  if (!location.image.empty()) {
    name += "/" + location.image;
  }
  if (!location.snapshot.empty()) {
    name += "@" + location.snapshot;
  }
  return name;
}

}  // namespace

std::string RbdLocation::display() const { return "rbd:" + joined(*this); }

std::string RbdLocation::ceph_name() const { return shell_word(joined(*this)); }

RbdLocation RbdLocation::beside(std::string name) const {
  RbdLocation other = *this;
  other.image = std::move(name);
  other.snapshot.clear();
  return other;
}

std::string display_name(const Location& location) {
  if (const auto* rbd = std::get_if<RbdLocation>(&location)) {
    return rbd->display();
  }
  return std::get<PathLocation>(location).path;
}

Location parse_location(std::string_view text) {
  if (text.starts_with("rbd:")) {
    return parse_rbd(text);
  }
  if (looks_like_address(text)) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = std::string(text),
                 .action = {},
                 .cause = "this kind of address is not supported",
                 .hint = "a file of that name is written ./" + std::string(text)});
  }
  if (text.starts_with("file:")) {
    text.remove_prefix(5);
  }
  if (text.empty()) {
    throw Error(
        {.kind = ErrorKind::kUsage, .object = "''", .action = {}, .cause = "does not name a file"});
  }
  if (text.find('\0') != std::string_view::npos) {
    throw malformed(text, "holds a zero byte");
  }
  return PathLocation{std::string(text)};
}

}  // namespace vmferry
