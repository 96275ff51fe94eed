// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "tools/vmferry/ui/map_summary.h"

namespace vmferry::cli {

/// What a terminal can show.
struct PictureStyle {
  unsigned columns = 80;
  bool has_color = false;
  bool has_unicode = true;
};

/// What the terminal says that it can, and NO_COLOR (no-color.org) and the locale do not forbid.
/// Without a terminal: no colour.
PictureStyle style_of_terminal();

/// How many cells fit a picture of that width.
size_t cells_of(const PictureStyle& style);

/// Rows of characters that are the denser the more data there is, with the partitions marked below
/// them, and the list of partitions. `title` is the first line.
std::string draw_picture(const MapSummary& summary, const std::string& title,
                         const PictureStyle& style);

}  // namespace vmferry::cli
