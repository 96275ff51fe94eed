// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/map_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/core/format_bytes.h"
#include "tools/vmferry/ui/html.h"
#include "tools/vmferry/ui/text_table.h"

namespace vmferry::cli {
namespace {

constexpr double kWidth = 800;
constexpr double kMargin = 28;
constexpr double kInner = kWidth - 2 * kMargin;
constexpr double kBarHeight = 30;
constexpr double kGridLeft = kMargin + 68;  // room for "1023.5 GiB"
constexpr size_t kCellsInRow = 64;
constexpr double kPitch = (kWidth - kMargin - kGridLeft) / kCellsInRow;
constexpr double kCell = kPitch - 1.1;
constexpr double kListRow = 24;
constexpr size_t kMostListed = 32;
constexpr unsigned kLevels = 5;
constexpr std::array<const char*, kLevels> kLevelNames = {"none", "to 25 %", "to 50 %", "to 75 %",
                                                          "more"};
// What a letter of the bar's font takes, on average: no viewer tells before it draws.
constexpr double kLetter = 7.7;

// Light to dark for no data ... all data. One ramp of grey for what is in no partition, and eight
// hues that are told apart by most eyes, also on paper.
using Ramp = std::array<const char*, kLevels>;
constexpr Ramp kGrey = {"#eef0f2", "#cdd3d8", "#a3acb5", "#727d88", "#47515c"};
constexpr std::array<Ramp, 8> kRamps = {{
    {"#e3edf9", "#b7d2f1", "#7fafe4", "#3f83cf", "#15559f"},
    {"#fdeadb", "#fbcfa8", "#f5a463", "#e07b26", "#a9530c"},
    {"#dff3ea", "#b0e0cb", "#6fc5a0", "#2f9d72", "#0f6b4a"},
    {"#efe6f7", "#d6c0ea", "#b48fd6", "#8a5abb", "#5e3190"},
    {"#fce4ec", "#f6bccf", "#ea86a9", "#cf4b7b", "#962450"},
    {"#dcf1f4", "#a8dce4", "#63bccb", "#2b93a5", "#0d6373"},
    {"#f6f0d3", "#e8d993", "#d0b84c", "#a68d1d", "#74610a"},
    {"#f0e8e2", "#dac6b8", "#bb9b85", "#936c52", "#643f28"},
}};

const Ramp& ramp_of(int part) {
  return part < 0 ? kGrey : kRamps[static_cast<size_t>(part) % kRamps.size()];
}

std::string title_of(const Partition& partition) {
  const std::string name = name_of(partition);
  return what_is_in(partition) + (name.empty() ? "" : " “" + name + "”");
}

/// Draws from top to bottom; y_ is where the next thing goes.
class SvgPainter {
 public:
  SvgPainter(const MapSummary& summary, const Contents& contents, const SvgText& text)
      : summary_(summary), contents_(contents), text_(text) {
    has_parts_ = !summary.parts.empty();
  }

  std::string draw() {
    draw_heading();
    draw_bar();
    draw_grid();
    draw_legend();
    draw_list();
    const double height = std::ceil(y_ + 20);
    return fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', "
        "'Liberation "
        "Sans', 'DejaVu Sans', Arial, sans-serif\" font-size=\"12\" fill=\"#1f2933\">\n"
        "<title>{2}</title>\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n{3}</svg>\n",
        kWidth, height, markup_escaped(text_.title), body_);
  }

 private:
  template <typename... Args>
  void put(fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(body_), text, std::forward<Args>(args)...);
    body_ += '\n';
  }

  void draw_heading() {
    y_ = 42;
    put("<text x=\"{}\" y=\"{}\" font-size=\"21\" font-weight=\"600\">{}</text>", kMargin, y_,
        markup_escaped(cut_to(text_.title, 62)));
    y_ += 22;
    put("<text x=\"{}\" y=\"{}\" font-size=\"13\" fill=\"#52606d\">{}</text>", kMargin, y_,
        markup_escaped(cut_to(text_.subtitle, 108)));
    y_ += 22;
  }

  double bar_x(uint64_t offset) const {
    return kMargin + kInner * static_cast<double>(offset) /
                         static_cast<double>(std::max<uint64_t>(summary_.disk_size, 1));
  }

  // The whole disk to scale.
  void draw_bar() {
    put("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{}\"/>", kMargin, y_,
        kInner, kBarHeight, kGrey[0]);
    for (size_t i = 0; i < summary_.parts.size(); ++i) {
      draw_block(i);
    }
    if (!has_parts_) {
      draw_whole();
    }
    y_ += kBarHeight;
    draw_scale();
    y_ += 34;
  }

  void draw_block(size_t index) {
    const MapSummary::Part& part = summary_.parts[index];
    const Ramp& ramp = ramp_of(static_cast<int>(index));
    const double x = bar_x(part.partition->offset);
    // A partition of a MiB on a disk of a TiB would not be seen.
    const double width = std::max(bar_x(part.end) - x - 1, 2.5);
    put("<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"3\" fill=\"{}\">"
        "<title>{}: {}, {}</title></rect>",
        x, y_, width, kBarHeight, ramp[3], part.partition->number,
        markup_escaped(title_of(*part.partition)), about_bytes(part.partition->length));
    const auto letters = static_cast<size_t>(std::max(0.0, (width - 12) / kLetter));
    // The longest of these that fits.
    const std::string number = std::to_string(part.partition->number);
    std::string label = fmt::format("{}  {}", number, title_of(*part.partition));
    if (columns_of(label) > letters) {
      label = number + "  " + what_is_in(*part.partition);
    }
    if (columns_of(label) > letters) {
      label = number;
    }
    if (columns_of(label) > letters) {
      return;
    }
    put("<text x=\"{:.1f}\" y=\"{}\" font-weight=\"600\" fill=\"#ffffff\">{}</text>", x + 7,
        y_ + 19.5, markup_escaped(label));
  }

  // A disk without a partition table: one file system, or nothing that is known.
  void draw_whole() {
    const std::string label =
        contents_.whole_disk
            ? contents_.whole_disk->type + (contents_.whole_disk->label.empty()
                                                ? ""
                                                : " “" + contents_.whole_disk->label + "”")
            : "no partition table";
    put("<text x=\"{}\" y=\"{}\" font-weight=\"600\" fill=\"#52606d\">{}</text>", kMargin + 8,
        y_ + 19.5, markup_escaped(cut_to(label, 100)));
  }

  void draw_scale() {
    constexpr int kSteps = 4;
    for (int i = 0; i <= kSteps; ++i) {
      const double x = kMargin + kInner * i / kSteps;
      const char* anchor = i == 0 ? "start" : i == kSteps ? "end" : "middle";
      const uint64_t at = summary_.disk_size / kSteps * static_cast<uint64_t>(i) +
                          summary_.disk_size % kSteps * static_cast<uint64_t>(i) / kSteps;
      put("<path d=\"M{0:.1f} {1:.1f}v4\" stroke=\"#9aa5b1\"/>"
          "<text x=\"{0:.1f}\" y=\"{2:.1f}\" font-size=\"10.5\" fill=\"#7b8794\" "
          "text-anchor=\"{3}\">{4}</text>",
          x, y_ + 2, y_ + 17, anchor, i == 0 ? "0" : about_bytes(at));
    }
  }

  // One path for each shade of each hue: a fraction of the size of two thousand rectangles.
  void draw_grid() {
    std::vector<std::array<std::string, kLevels>> paths(summary_.parts.size() + 1);
    const double top = y_;
    for (size_t cell = 0; cell < summary_.cell_data.size(); ++cell) {
      const int part = summary_.part_of(cell);
      const double x = kGridLeft + kPitch * static_cast<double>(cell % kCellsInRow);
      const size_t row = cell / kCellsInRow;
      const double y = top + kPitch * static_cast<double>(row);
      paths[static_cast<size_t>(part) + 1][summary_.level(cell)] += fmt::format(
          "M{:.1f} {:.1f}h{kCell:.1f}v{kCell:.1f}h-{kCell:.1f}z", x, y, fmt::arg("kCell", kCell));
      if (cell % kCellsInRow == 0) {
        draw_row_label(cell, y);
      }
    }
    for (size_t i = 0; i < paths.size(); ++i) {
      for (unsigned level = 0; level < kLevels; ++level) {
        if (paths[i][level].empty()) {
          continue;
        }
        put("<path fill=\"{}\" d=\"{}\"/>", grid_ramp(static_cast<int>(i) - 1)[level],
            paths[i][level]);
      }
    }
    const size_t rows = (summary_.cell_data.size() + kCellsInRow - 1) / kCellsInRow;
    y_ = top + kPitch * static_cast<double>(rows) + 16;
  }

  // Without partitions grey would say "outside of them".
  const Ramp& grid_ramp(int part) const { return has_parts_ ? ramp_of(part) : kRamps[0]; }

  // A label for every second row: any more would not fit.
  void draw_row_label(size_t cell, double y) {
    if (cell / kCellsInRow % 2 != 0) {
      return;
    }
    put("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"10.5\" fill=\"#7b8794\" "
        "text-anchor=\"end\">{}</text>",
        kGridLeft - 8, y + kCell - 0.6, cell == 0 ? "0" : about_bytes(cell * summary_.cell_size));
  }

  void draw_legend() {
    double x = kGridLeft;
    put("<text x=\"{}\" y=\"{}\" fill=\"#52606d\">A cell is {}. Data in it:</text>", x, y_ + 10,
        exact_bytes(summary_.cell_size));
    x += 205;
    for (unsigned level = 0; level < kLevels; ++level) {
      put("<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"2\" fill=\"{}\"/>"
          "<text x=\"{}\" y=\"{}\" fill=\"#52606d\">{}</text>",
          x, y_ - 1.5, (has_parts_ ? kGrey : kRamps[0])[level], x + 19, y_ + 10,
          kLevelNames[level]);
      x += level == 0 ? 66 : 80;
    }
    y_ += 34;
  }

  void draw_list() {
    if (!has_parts_) {
      return;
    }
    y_ += 6;
    put("<g font-size=\"11\" fill=\"#7b8794\"><text x=\"{0}\" y=\"{6}\">Partition</text>"
        "<text x=\"{1}\" y=\"{6}\">What</text><text x=\"{2}\" y=\"{6}\">Name</text>"
        "<text x=\"{3}\" y=\"{6}\" text-anchor=\"end\">Start</text>"
        "<text x=\"{4}\" y=\"{6}\" text-anchor=\"end\">Size</text>"
        "<text x=\"{5}\" y=\"{6}\">Data</text></g>",
        kMargin, kWhat, kName, kStart, kSize, kData, y_);
    y_ += 8;
    const size_t shown = std::min(summary_.parts.size(), kMostListed);
    for (size_t i = 0; i < shown; ++i) {
      draw_list_row(i);
    }
    if (shown < summary_.parts.size()) {
      y_ += kListRow;
      put("<text x=\"{}\" y=\"{}\" fill=\"#52606d\">and {} more</text>", kMargin, y_ - 6,
          summary_.parts.size() - shown);
    }
  }

  void draw_list_row(size_t index) {
    const MapSummary::Part& part = summary_.parts[index];
    const Partition& partition = *part.partition;
    const Ramp& ramp = ramp_of(static_cast<int>(index));
    const double share = static_cast<double>(part.data) / static_cast<double>(partition.length);
    put("<path d=\"M{} {:.1f}h{}\" stroke=\"#e4e7eb\"/>", kMargin, y_, kInner);
    y_ += kListRow;
    const double base = y_ - 7.5;
    put("<rect x=\"{}\" y=\"{:.1f}\" width=\"13\" height=\"13\" rx=\"2.5\" fill=\"{}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" font-weight=\"600\">{}</text>",
        kMargin, base - 11, ramp[3], kMargin + 21, base, partition.number);
    put("<text x=\"{0}\" y=\"{2:.1f}\">{3}</text><text x=\"{1}\" y=\"{2:.1f}\">{4}</text>", kWhat,
        kName, base, markup_escaped(cut_to(what_is_in(partition), 24)),
        markup_escaped(cut_to(name_of(partition), 20)));
    put("<text x=\"{0}\" y=\"{2:.1f}\" text-anchor=\"end\">{3}</text>"
        "<text x=\"{1}\" y=\"{2:.1f}\" text-anchor=\"end\">{4}</text>",
        kStart, kSize, base, about_bytes(partition.offset), about_bytes(partition.length));
    put("<rect x=\"{0}\" y=\"{1:.1f}\" width=\"{2}\" height=\"9\" rx=\"4.5\" fill=\"{3}\"/>"
        "<rect x=\"{0}\" y=\"{1:.1f}\" width=\"{4:.1f}\" height=\"9\" rx=\"4.5\" fill=\"{5}\"/>"
        "<text x=\"{6}\" y=\"{7:.1f}\">{8}, {9}</text>",
        kData, base - 9, kDataBar, ramp[0], part.data == 0 ? 0.0 : std::max(share * kDataBar, 4.0),
        ramp[3], kData + kDataBar + 10, base, about_bytes(part.data),
        markup_escaped(percent(part.data, partition.length)));
  }

  static constexpr double kWhat = kMargin + 68;
  static constexpr double kName = kWhat + 165;
  static constexpr double kStart = kName + 200;
  static constexpr double kSize = kStart + 76;
  static constexpr double kData = kSize + 22;
  static constexpr double kDataBar = 64;

  const MapSummary& summary_;
  const Contents& contents_;
  const SvgText& text_;
  bool has_parts_ = false;
  std::string body_;
  double y_ = 0;
};

}  // namespace

std::string draw_svg(const MapSummary& summary, const Contents& contents, const SvgText& text) {
  return SvgPainter(summary, contents, text).draw();
}

}  // namespace vmferry::cli
