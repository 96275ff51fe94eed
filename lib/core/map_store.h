// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/map.h"
#include "vmferry/source.h"

namespace vmferry {

/// Layout::map for what is a raw disk itself: its extents are where the guest has them.
void map_store(const Source& store, uint64_t offset, uint64_t length, const MapVisitor& visit);

}  // namespace vmferry
