// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/error.h"

namespace vmferry {

/// Bytes begin..end-1 of a text.
struct Span {
  size_t begin = 0;
  size_t end = 0;

  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};

/// What messages call a text, and places in it.
class XmlPlaces {
 public:
  XmlPlaces(std::string_view text, std::string object) : text_(text), object_(std::move(object)) {}

  std::string_view text() const { return text_; }
  /// Counted from 1.
  size_t line(size_t offset) const;
  /// "OBJECT: line 3, column 7: CAUSE"; columns are characters, counted from 1.
  Error error(ErrorKind kind, size_t offset, std::string cause, std::string hint = {}) const;

 private:
  std::string_view text_;
  std::string object_;
};

enum class XmlTokenKind {
  kStartTag,     ///< <name ...>
  kEmptyTag,     ///< <name .../>
  kEndTag,       ///< </name>
  kText,         ///< with its entities as they were written
  kCdata,        ///< <![CDATA[...]]>
  kComment,      ///< <!--...-->
  kInstruction,  ///< <?name ...?>, and the XML declaration
};

struct XmlToken {
  XmlTokenKind kind = XmlTokenKind::kText;
  Span span;
  std::string_view name;  ///< of a tag
};

/// Cuts a document into tokens that tell where they lie, and makes sure on the way that it is
/// well-formed UTF-8 XML 1.0 without a document type, with nothing but the five built-in entities,
/// and neither nested nor crowded beyond reason. So a parser that is laxer, as tinyxml2 is, sees
/// the same elements in it. Memory: the names of the open elements. One thread.
class XmlTokens {
 public:
  /// `places` must outlive it. Throws Error kCorrupt for bytes that XML does not allow.
  explicit XmlTokens(const XmlPlaces& places);

  /// False at the end. Throws Error kCorrupt or kUnsupported.
  bool next(XmlToken& token);
  /// How many elements are open after the token that was read last.
  size_t depth() const { return open_.size(); }

 private:
  [[noreturn]] void corrupt(size_t offset, std::string cause) const;
  size_t find(std::string_view what, size_t from, const char* construct) const;
  void count_node(size_t offset);
  Span take_name();
  void skip_space();
  void check_references(Span span) const;
  void check_text(Span span) const;
  void check_declaration(Span span) const;
  void read_markup(XmlToken& token);
  void read_start_tag(XmlToken& token);
  void read_attribute(std::vector<std::string_view>& names);
  void read_end_tag(XmlToken& token);
  void read_instruction(XmlToken& token);
  void at_end() const;

  const XmlPlaces& places_;
  std::string_view text_;
  size_t at_ = 0;
  size_t nodes_ = 0;
  bool root_seen_ = false;
  std::vector<std::string_view> open_;
};

}  // namespace vmferry
