// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/utf8.h"

#include <utf8cpp/utf8.h>

#include <iterator>

namespace vmferry {
namespace {

bool begins_pair(uint16_t unit) { return unit >= 0xd800 && unit < 0xdc00; }

}  // namespace

Utf8Character utf8_beyond_ascii(std::string_view text, size_t at) {
  const char* const begin = text.data() + at;
  const char* end = begin;
  try {
    const uint32_t code = ::utf8::next(end, text.data() + text.size());
    return {.code = code, .length = static_cast<size_t>(end - begin)};
  } catch (const ::utf8::exception&) {
    return {};
  }
}

size_t utf8_count(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += utf8_at(text, at).length) {
    ++count;
  }
  return count;
}

size_t utf8_length(std::string_view text, size_t count) {
  size_t at = 0;
  for (; count > 0 && at < text.size(); --count) {
    at += utf8_at(text, at).length;
  }
  return at;
}

std::string_view utf8_cut(std::string_view text, size_t bytes) {
  size_t end = 0;
  while (end < text.size()) {
    const size_t next = end + utf8_at(text, end).length;
    if (next > bytes) {
      break;
    }
    end = next;
  }
  return text.substr(0, end);
}

std::string utf8_of(std::span<const uint16_t> utf16) {
  std::string out;
  while (!utf16.empty()) {
    const size_t length = begins_pair(utf16.front()) && utf16.size() > 1 ? 2 : 1;
    try {
      ::utf8::utf16to8(utf16.data(), utf16.data() + length, std::back_inserter(out));
      utf16 = utf16.subspan(length);
    } catch (const ::utf8::invalid_utf16&) {
      out += '?';
      utf16 = utf16.subspan(1);
    }
  }
  return out;
}

}  // namespace vmferry
