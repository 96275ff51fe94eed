// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_location.h"

#include <utility>
#include <vector>

#include "lib/core/shell_word.h"
#include "lib/store/address.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr std::string_view kScheme = "rbd:";

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

/// Without the options, which may be secrets.
std::string shown(std::string_view text) {
  if (!names_rbd(text)) {
    return without_secrets(text);
  }
  std::string_view rest = text.substr(kScheme.size());
  const bool has_options = take(rest, ":").stop == ':';
  return std::string(text.substr(0, text.size() - rest.size())) + (has_options ? "..." : "");
}

Error malformed(std::string_view text, std::string cause) {
  return Error(
      {.kind = ErrorKind::kUsage,
       .object = text.empty() ? "''" : shown(text),
       .action = {},
       .cause = std::move(cause),
       .hint = "an RBD volume is written rbd:POOL/IMAGE, a snapshot rbd:POOL/IMAGE@SNAPSHOT"});
}

void parse_options(std::string_view text, std::string_view rest, RbdLocation& location) {
  while (!rest.empty()) {
    Token key = take(rest, "=:");
    if (key.stop != '=' || key.text.empty()) {
      throw malformed(text, "what follows the image after a colon is not KEY=VALUE");
    }
    location.options[key.text] = take(rest, ":").text;
  }
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

bool names_rbd(std::string_view text) { return text.starts_with(kScheme); }

RbdLocation parse_rbd_location(std::string_view text) {
  if (!names_rbd(text)) {
    throw malformed(text, "does not name an RBD volume");
  }
  std::string_view rest = text.substr(kScheme.size());
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

std::string RbdLocation::display() const { return std::string(kScheme) + joined(*this); }

std::string RbdLocation::ceph_name() const { return shell_word(joined(*this)); }

RbdLocation RbdLocation::beside(std::string name) const {
  RbdLocation other = *this;
  other.image = std::move(name);
  other.snapshot.clear();
  return other;
}

}  // namespace vmferry
