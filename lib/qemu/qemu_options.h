// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "lib/core/unique_fd.h"
#include "lib/format/qemu_image.h"

namespace vmferry {

/// How QEMU is told to open an image, and the descriptors that it needs for that.
struct QemuOptions {
  std::string file_name;           ///< "json:{...}", to be given in place of a file's name
  std::vector<int> descriptors;    ///< as the text numbers them, from `first` on
  std::vector<std::string> names;  ///< of the files that they are
  std::vector<UniqueFd> texts;     ///< those of them that were made here
};

/// `first`: the number in QEMU's process of the first of the descriptors. Throws Error
/// (kUnsupported) if one of the files is not a file or device of this host.
QemuOptions qemu_options(const QemuImage& image, int first);

}  // namespace vmferry
