// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include <map>
#include <string>
#include <string_view>

#include "lib/domain/disk_spans.h"

namespace vmferry {

/// How the text of a <disk> is laid out.
struct TextStyle {
  char quote = '\'';
  std::string line;  ///< line break and indentation of the disk's children; empty: all in one line
  std::string step;  ///< what one more level is indented
};

TextStyle style_of(std::string_view text, const DiskSpan& disk);

/// The tag that begins an element, up to and without its ">" or "/>".
std::string print_tag(const tinyxml2::XMLElement& element, const TextStyle& style);
/// A child of the disk, with all that is in it.
std::string print_child(const tinyxml2::XMLElement& element, const TextStyle& style);

/// Edits the text of one <disk>. What is not edited stays as it is. Children are counted from 0.
class DiskText {
 public:
  /// `text` and `span` must outlive it.
  DiskText(std::string_view text, const DiskSpan& span) : text_(text), span_(span) {}

  void set_start_tag(std::string tag) { start_tag_ = std::move(tag); }
  void replace(size_t child, std::string by) { edits_[child] = std::move(by); }
  /// Takes the white space before the child along.
  void remove(size_t child) { edits_[child].clear(); }
  std::string str() const;

 private:
  std::string_view text_;
  const DiskSpan& span_;
  std::string start_tag_;
  std::map<size_t, std::string> edits_;
};

}  // namespace vmferry
