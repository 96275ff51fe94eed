// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "vmferry/open.h"

namespace vmferry {

/// Reads all of `file` and compares its sum with options.checksum: throws kConflict where they
/// differ, and what reading throws. With `keep` what was read goes to a file without a name in
/// options.tmp_dir, and that is the answer: it is what was summed up, whatever becomes of the
/// original. Otherwise the answer is `file`, which later changes of it are noticed by.
/// REQUIRES: options.checksum
std::unique_ptr<Source> with_checksum(std::unique_ptr<Source> file, bool keep,
                                      const SourceOptions& options);

}  // namespace vmferry
