// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmferry::cli {

/// Rows of cells, printed with columns as wide as they need to be. One thread.
class TextTable {
 public:
  /// A heading that begins with '>' is of a column of numbers: flush right, without the '>'.
  explicit TextTable(std::vector<std::string> headings);
  /// REQUIRES: as many cells as headings. An empty cell is shown as "-".
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Columns that have nothing in any row are left out.
  std::string text(std::string_view indent) const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> is_right_;
  std::vector<std::vector<std::string>> rows_;
};

/// How many columns of a terminal UTF-8 takes, if every character takes one.
size_t columns_of(std::string_view text);
/// `text` cut to at most `columns`, with an ellipsis if something was cut. UTF-8.
std::string cut_to(std::string_view text, size_t columns);

}  // namespace vmferry::cli
