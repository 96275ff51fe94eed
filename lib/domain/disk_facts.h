// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include "vmferry/domain.h"

namespace vmferry {

/// What a <disk> element says, its line excepted; `stays` is filled in, too. A disk without a
/// target has an empty one: that is for the caller to refuse.
DomainDisk read_disk(const tinyxml2::XMLElement& disk);

}  // namespace vmferry
