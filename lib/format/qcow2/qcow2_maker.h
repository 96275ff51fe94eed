// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/format/format.h"

namespace vmferry {

/// Format::maker for qcow2: version 3, refcounts of 16 bits, clusters of 64 KiB unless the layout
/// says otherwise.
extern const FormatMaker kQcow2Maker;

}  // namespace vmferry
