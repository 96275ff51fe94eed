// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/inspect.h"

namespace vmferry {

/// Fills in the type_name of every partition, as fdisk(8) calls it. Any thread.
void name_types(PartitionTable& table);

}  // namespace vmferry
