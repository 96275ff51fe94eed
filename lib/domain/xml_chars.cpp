// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/xml_chars.h"

#include <algorithm>
#include <cstdint>

#include "lib/core/utf8.h"

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
    const Utf8Character character = utf8_at(text, at);
    if (!character.is_valid() || !is_xml_character(character.code)) {
      return at;
    }
    at += character.length;
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
