// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/format/format.h"

namespace vmferry {

/// Does an image begin as one of qcow2 does? Promises nothing else.
bool is_qcow2(const ImageMarks& marks);

/// Format::open for qcow2: reads the header, asks the gate for the other files that the image is
/// made of, and chooses the snapshot.
std::unique_ptr<Source> open_qcow2_image(std::unique_ptr<Source> file, FormatGate& gate);

/// Format::describe for qcow2. A damaged list of snapshots or bitmaps is `damage`: the disk itself
/// may be as good as ever.
void describe_qcow2(const Source& file, ImageFacts& facts, std::vector<std::string>& damage);

}  // namespace vmferry
