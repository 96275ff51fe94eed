// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/text_table.h"

#include <algorithm>
#include <utility>

#include "lib/core/printable.h"
#include "lib/core/utf8.h"

namespace vmferry::cli {

size_t columns_of(std::string_view text) { return utf8_count(text); }

std::string cut_to(std::string_view text, size_t columns) {
  if (columns_of(text) <= columns) {
    return std::string(text);
  }
  return std::string(text.substr(0, utf8_length(text, columns - 1))) + "…";
}

TextTable::TextTable(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (std::string& heading : headings_) {
    is_right_.push_back(heading.starts_with('>'));
    if (is_right_.back()) {
      heading.erase(0, 1);
    }
  }
}

void TextTable::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) {
    cell = printable(cell);
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::text(std::string_view indent) const {
  std::vector<size_t> widths(headings_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], columns_of(row[i]));
    }
  }
  std::string out;
  const auto add_row = [&](const std::vector<std::string>& row) {
    std::string line(indent);
    for (size_t i = 0; i < row.size(); ++i) {
      if (widths[i] == 0) {
        continue;
      }
      const std::string& cell = row[i].empty() ? "-" : row[i];
      const std::string pad(std::max(widths[i], columns_of(headings_[i])) - columns_of(cell), ' ');
      line += is_right_[i] ? pad + cell : cell + pad;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_row(headings_);
  for (const auto& row : rows_) {
    add_row(row);
  }
  return out;
}

}  // namespace vmferry::cli
