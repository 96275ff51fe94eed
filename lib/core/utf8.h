// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// UTF-8 (RFC 3629) in texts that may hold other bytes: names of files, what an image calls a thing.
// All functions may be called from any thread.

namespace vmferry {

/// What stands at one place of a text.
struct Utf8Character {
  uint32_t code = UINT32_MAX;  ///< its code point; UINT32_MAX: the byte there is part of none
  size_t length = 1;           ///< in bytes

  bool is_valid() const { return code != UINT32_MAX; }
};

/// For utf8_at().
Utf8Character utf8_beyond_ascii(std::string_view text, size_t at);

/// REQUIRES: at < text.size().
inline Utf8Character utf8_at(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte < 0x80 ? Utf8Character{.code = byte} : utf8_beyond_ascii(text, at);
}

/// How many characters `text` has. A byte that is not part of one counts as one.
size_t utf8_count(std::string_view text);

/// How many bytes the first `count` characters take, or all of them.
size_t utf8_length(std::string_view text, size_t count);

/// At most `bytes` bytes of the beginning, and no part of a character.
std::string_view utf8_cut(std::string_view text, size_t bytes);

/// UTF-16 as UTF-8; half of a surrogate pair becomes '?'.
std::string utf8_of(std::span<const uint16_t> utf16);

}  // namespace vmferry
