// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "tools/vmferry/ui/map_summary.h"

namespace vmferry::cli {

/// How many cells a drawing has at most.
constexpr size_t kSvgCells = 2048;

struct SvgText {
  std::string title;     ///< the name of the image
  std::string subtitle;  ///< what it is, its size, its data
};

/// The summary as an SVG drawing, 800 units wide: a bar with the partitions to scale, a grid of
/// cells that are the darker the more data there is, a legend, and the list of partitions. Needs no
/// fonts but the reader's own and no other file.
std::string draw_svg(const MapSummary& summary, const Contents& contents, const SvgText& text);

}  // namespace vmferry::cli
