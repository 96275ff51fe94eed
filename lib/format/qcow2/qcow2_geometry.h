// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_tables.h"

namespace vmferry {

/// The numbers of the disk that `parts` choose: as it is now, or as it was at a snapshot. Throws
/// Error kCorrupt for a snapshot that cannot be. Reads nothing. Any thread.
Qcow2Geometry geometry_of(const Qcow2Parts& parts, const Qcow2Header& header);

}  // namespace vmferry
