// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/disk_text.h"

#include "lib/domain/xml_chars.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;
using tinyxml2::XMLNode;

constexpr const char* kSpace = " \t\r\n";

std::string_view without_trailing_space(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

/// The indentation of the line that `offset` is in, if nothing else stands before it there.
std::string_view indentation(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t newline = before.rfind('\n');
  const std::string_view line = before.substr(newline == std::string_view::npos ? 0 : newline + 1);
  return without_trailing_space(line).empty() ? line : std::string_view();
}

void print(const XMLElement& element, const TextStyle& style, const std::string& line,
           std::string& out) {
  out += print_tag(element, style);
  if (element.NoChildren()) {
    out += "/>";
    return;
  }
  out += '>';
  const std::string deeper = line.empty() ? line : line + style.step;
  bool on_lines = false;
  for (const XMLNode* node = element.FirstChild(); node; node = node->NextSibling()) {
    if (const auto* text = node->ToText()) {
      out += escape_text(text->Value());
      continue;
    }
    on_lines = true;
    out += deeper;
    if (const auto* nested = node->ToElement()) {
      print(*nested, style, deeper, out);
    }
    if (const auto* comment = node->ToComment()) {
      out += "<!--";
      out += comment->Value();
      out += "-->";
    }
  }
  if (on_lines) {
    out += line;
  }
  out += "</";
  out += element.Name();
  out += '>';
}

}  // namespace

TextStyle style_of(std::string_view text, const DiskSpan& disk) {
  TextStyle style;
  const size_t quote = disk.whole.of(text).find_first_of("'\"");
  if (quote != std::string_view::npos) {
    style.quote = disk.whole.of(text)[quote];
  }
  if (disk.children.empty()) {
    return style;
  }
  const size_t first = disk.children.front().begin;
  const std::string_view gap = text.substr(disk.start_tag.end, first - disk.start_tag.end);
  const size_t newline = gap.find('\n');
  if (newline == std::string_view::npos) {
    return style;
  }
  const std::string_view indent = indentation(text, first);
  const std::string_view outer = indentation(text, disk.whole.begin);
  style.line = newline > 0 && gap[newline - 1] == '\r' ? "\r\n" : "\n";
  style.line += indent;
  const bool nested = indent.size() > outer.size() && indent.starts_with(outer);
  style.step = nested ? indent.substr(outer.size()) : "  ";
  return style;
}

std::string print_tag(const XMLElement& element, const TextStyle& style) {
  std::string out = "<";
  out += element.Name();
  for (const auto* attribute = element.FirstAttribute(); attribute; attribute = attribute->Next()) {
    out += ' ';
    out += attribute->Name();
    out += '=';
    out += style.quote;
    out += escape_attribute(attribute->Value(), style.quote);
    out += style.quote;
  }
  return out;
}

std::string print_child(const XMLElement& element, const TextStyle& style) {
  std::string out;
  print(element, style, style.line, out);
  return out;
}

std::string DiskText::str() const {
  std::string out = start_tag_;
  size_t at = span_.start_tag.end;
  for (size_t i = 0; i < span_.children.size(); ++i) {
    const Span& child = span_.children[i];
    const std::string_view gap = text_.substr(at, child.begin - at);
    const auto edit = edits_.find(i);
    if (edit == edits_.end()) {
      out += gap;
      out += child.of(text_);
    } else if (edit->second.empty()) {
      out += without_trailing_space(gap);
    } else {
      out += gap;
      out += edit->second;
    }
    at = child.end;
  }
  out += text_.substr(at, span_.whole.end - at);
  return out;
}

}  // namespace vmferry
