// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include "vmferry/domain.h"

namespace vmferry {

/// The type of a disk, or of a <backingStore>, that is there: "file", "block" or "network".
const char* disk_type(const DiskTarget& target);

/// Makes an empty <source> that of the place; of a volume it has protocol, name, monitors,
/// configuration and <auth>.
void fill_source(tinyxml2::XMLElement& source, const DiskTarget& target);

}  // namespace vmferry
