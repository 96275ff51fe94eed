// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/printable.h"

#include <algorithm>
#include <cstdint>

namespace vmferry {
namespace {

// How many bytes the character that begins here takes; 0 if there is none that may be shown.
// Overlong forms and surrogates are let through: they look odd, and do no harm.
size_t character_length(const std::string& text, size_t at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) {
    return lead >= ' ' && lead != 0x7f ? 1 : 0;
  }
  const size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : 2;
  if (lead < 0xc2 || lead >= 0xf5 || length > text.size() - at) {
    return 0;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<uint8_t>(text[at + i]) & 0xc0) != 0x80) {
      return 0;
    }
  }
  // U+0080 to U+009F are control characters of terminals.
  return lead == 0xc2 && static_cast<uint8_t>(text[at + 1]) < 0xa0 ? 0 : length;
}

}  // namespace

std::string printable(std::string text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text, at);
    if (length == 0) {
      text[at] = '?';
    }
    at += std::max<size_t>(length, 1);
  }
  return text;
}

}  // namespace vmferry
