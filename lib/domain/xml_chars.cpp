// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/xml_chars.h"

#include <algorithm>
#include <cstdint>

namespace vmferry {
namespace {

/// XML 1.0, section 2.2.
bool is_xml_character(uint32_t code) {
  if (code < 0x20) {
    return code == '\t' || code == '\n' || code == '\r';
  }
  if (code >= 0xD800 && code <= 0xDFFF) {
    return false;
  }
  return code != 0xFFFE && code != 0xFFFF && code <= 0x10FFFF;
}

/// How many bytes the character at the begin of `text` takes; 0 if there is none.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) {
    return is_xml_character(first) ? 1 : 0;
  }
  size_t length = 0;
  if ((first & 0xE0) == 0xC0) {
    length = 2;
  }
  if ((first & 0xF0) == 0xE0) {
    length = 3;
  }
  if ((first & 0xF8) == 0xF0) {
    length = 4;
  }
  if (length == 0 || text.size() < length) {
    return 0;
  }
  uint32_t code = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
    code = code << 6 | (byte(i) & 0x3F);
  }
  // A longer spelling than needed is none.
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= kSmallest[length] && is_xml_character(code) ? length : 0;
}

std::optional<uint32_t> digit_value(char c, uint32_t base) {
  uint32_t value = base;
  if (c >= '0' && c <= '9') {
    value = static_cast<uint32_t>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    value = static_cast<uint32_t>(c - 'a' + 10);
  }
  if (c >= 'A' && c <= 'F') {
    value = static_cast<uint32_t>(c - 'A' + 10);
  }
  if (value >= base) {
    return std::nullopt;
  }
  return value;
}

/// `digits` between "&#" and ";".
bool is_character_number(std::string_view digits) {
  uint32_t base = 10;
  if (digits.starts_with('x')) {
    base = 16;
    digits.remove_prefix(1);
  }
  if (digits.empty() || digits.size() > 8) {
    return false;
  }
  uint64_t code = 0;
  for (const char c : digits) {
    const auto digit = digit_value(c, base);
    if (!digit) {
      return false;
    }
    code = code * base + *digit;
  }
  return code <= 0x10FFFF && is_xml_character(static_cast<uint32_t>(code));
}

/// Every character of `value`, those that mean something to XML as references.
std::string escape(std::string_view value, std::string_view quotes) {
  std::string out;
  for (const char c : value) {
    const bool quoted = quotes.find(c) != std::string_view::npos;
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '\'' && quoted) {
      out += "&apos;";
    } else if (c == '"' && quoted) {
      out += "&quot;";
    } else if (c == '\r') {
      out += "&#13;";
    } else if ((c == '\n' || c == '\t') && !quotes.empty()) {
      // A parser turns white space in attributes into blanks.
      out += c == '\n' ? "&#10;" : "&#9;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::optional<size_t> first_bad_character(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text.substr(at));
    if (length == 0) {
      return at;
    }
    at += length;
  }
  return std::nullopt;
}

bool is_reference(std::string_view text) {
  for (const std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"}) {
    if (text.starts_with(known)) {
      return true;
    }
  }
  const size_t end = text.substr(0, 16).find(';');
  return text.starts_with("&#") && end != std::string_view::npos &&
         is_character_number(text.substr(2, end - 2));
}

std::string escape_attribute(std::string_view value, char quote) {
  return escape(value, std::string_view(&quote, 1));
}

std::string escape_text(std::string_view value) { return escape(value, {}); }

}  // namespace vmferry
