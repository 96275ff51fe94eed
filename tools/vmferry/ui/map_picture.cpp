// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/map_picture.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "lib/core/format_bytes.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_table.h"

namespace vmferry::cli {
namespace {

constexpr size_t kRows = 16;
constexpr size_t kLabelWidth = 12;  // "1023.5 GiB  "
constexpr std::array kUnicodeShades = {"·", "░", "▒", "▓", "█"};
constexpr std::array kAsciiShades = {".", "-", "+", "*", "#"};
// Colours of the 256 that terminals know: apart from each other on a dark and on a light ground.
constexpr std::array kColors = {33, 208, 35, 134, 37, 168, 142, 125};

bool is_utf8_locale() {
  const locale_t locale = ::newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) {
    return false;
  }
  const bool is_utf8 = std::strcmp(::nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
  ::freelocale(locale);
  return is_utf8;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// As many cells a row as fit, a power of two: then rows begin at round numbers.
size_t cells_in_row(const PictureStyle& style) {
  size_t cells = 16;
  while (cells < 128 && kLabelWidth + cells * 2 <= style.columns) {
    cells *= 2;
  }
  return cells;
}

/// Draws one summary in one style.
class Painter {
 public:
  Painter(const MapSummary& summary, const PictureStyle& style)
      : summary_(summary), style_(style), row_length_(cells_in_row(style)) {}

  std::string draw() {
    for (size_t first = 0; first < summary_.cell_data.size(); first += row_length_) {
      const size_t end = std::min(summary_.cell_data.size(), first + row_length_);
      draw_cells(first, end);
      draw_marks(first, end);
    }
    out_ += fmt::format(
        "\n  a character is {}: {} no data  {} to 25 %  {} to 50 %  {} to 75 %  {} more\n",
        exact_bytes(summary_.cell_size), shade(0), shade(1), shade(2), shade(3), shade(4));
    return out_;
  }

 private:
  const char* shade(unsigned level) const {
    return (style_.has_unicode ? kUnicodeShades : kAsciiShades)[level];
  }

  void set_color(int part) {
    if (!style_.has_color || part == color_) {
      return;
    }
    color_ = part;
    out_ += part < 0
                ? "\033[0m"
                : fmt::format("\033[38;5;{}m", kColors[static_cast<size_t>(part) % kColors.size()]);
  }

  void draw_cells(size_t first, size_t end) {
    out_ += fmt::format("{:>{}}  ", about_bytes(first * summary_.cell_size), kLabelWidth - 2);
    for (size_t cell = first; cell < end; ++cell) {
      set_color(summary_.part_of(cell));
      out_ += shade(summary_.level(cell));
    }
    set_color(-1);
    out_ += '\n';
  }

  // Below a row in which a partition begins or ends: the number of each at its first cell, and a
  // line below the cells that are its.
  void draw_marks(size_t first, size_t end) {
    std::vector<int> parts;
    for (size_t cell = first; cell < end; ++cell) {
      parts.push_back(summary_.part_of(cell));
    }
    const bool same =
        std::adjacent_find(parts.begin(), parts.end(), std::not_equal_to<>()) == parts.end();
    if (same && parts.front() == last_part_) {
      return;
    }
    out_.append(kLabelWidth, ' ');
    for (size_t i = 0; i < parts.size();) {
      const int part = parts[i];
      const size_t run =
          static_cast<size_t>(std::find_if(parts.begin() + static_cast<ptrdiff_t>(i), parts.end(),
                                           [part](int other) { return other != part; }) -
                              parts.begin() - static_cast<ptrdiff_t>(i));
      draw_mark(part, run);
      i += run;
      last_part_ = part;
    }
    set_color(-1);
    out_.erase(out_.find_last_not_of(' ') + 1);
    out_ += '\n';
  }

  void draw_mark(int part, size_t run) {
    set_color(part);
    if (part < 0) {
      out_.append(run, ' ');
      return;
    }
    std::string mark;
    if (part != last_part_) {
      mark = std::to_string(summary_.parts[static_cast<size_t>(part)].partition->number);
      if (mark.size() > run) {
        mark = mark.substr(0, run);
      }
    }
    const size_t line = run - mark.size();
    out_ += mark;
    for (size_t i = 0; i < line; ++i) {
      out_ += style_.has_unicode ? "▔" : "'";
    }
  }

  const MapSummary& summary_;
  const PictureStyle& style_;
  const size_t row_length_;
  std::string out_;
  int color_ = -1;
  int last_part_ = -1;
};

std::string list_partitions(const MapSummary& summary) {
  TextTable table({">nr", ">start", ">size", ">data", ">full", "what", "name"});
  for (const MapSummary::Part& part : summary.parts) {
    const Partition& partition = *part.partition;
    table.add({std::to_string(partition.number), exact_bytes(partition.offset),
               about_bytes(partition.length), about_bytes(part.data),
               percent(part.data, partition.length), what_is_in(partition),
               cut_to(name_of(partition), 24)});
  }
  return "\n" + table.text("  ");
}

}  // namespace

PictureStyle style_of_terminal() {
  const char* term = std::getenv("TERM");
  const bool is_dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  return {.columns = terminal_width(STDOUT_FILENO),
          .has_color = is_terminal() && !is_dumb && !is_set("NO_COLOR"),
          .has_unicode = is_utf8_locale()};
}

size_t cells_of(const PictureStyle& style) { return cells_in_row(style) * kRows; }

std::string draw_picture(const MapSummary& summary, const std::string& title,
                         const PictureStyle& style) {
  std::string out = title + "\n\n";
  if (!summary.cell_data.empty()) {
    out += Painter(summary, style).draw();
  }
  if (!summary.parts.empty()) {
    out += list_partitions(summary);
  }
  return out;
}

}  // namespace vmferry::cli
