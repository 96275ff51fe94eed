// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/format/format.h"

namespace vmferry {

/// Does an image begin as one of qcow2 does? Promises nothing else.
bool is_qcow2(const ImageMarks& marks);

/// Format::open for qcow2: reads the header, asks the gate for the other files that the image is
/// made of, and chooses the snapshot.
std::unique_ptr<Source> open_qcow2_image(std::unique_ptr<Source> file, FormatGate& gate);

}  // namespace vmferry
