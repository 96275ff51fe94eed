// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry {

struct FileText {
  std::string text = {};
  int error = 0;        ///< an errno: it could not be opened, or not be read
  bool opened = false;  ///< "/dir" can be opened, and not be read
};

/// The text of a file of settings, or of one that the kernel makes up (/proc, /sys), its first MiB:
/// a real one has a few lines. Never waits for a
/// FIFO. Any thread.
FileText read_small_file(const std::string& path);

}  // namespace vmferry
