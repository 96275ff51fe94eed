// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/printable.h"

#include <algorithm>
#include <cstdint>

#include "lib/core/utf8.h"

namespace vmferry {
namespace {

/// Those of ASCII, and U+0080 to U+009F, which are control characters of terminals as well.
bool is_control(uint32_t code) { return code < ' ' || (code >= 0x7f && code < 0xa0); }

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = utf8_at(text, at);
    if (!character.is_valid() || is_control(character.code)) {
      out.append(character.length, '?');
    } else {
      out += text.substr(at, character.length);
    }
    at += character.length;
  }
  return out;
}

}  // namespace vmferry
