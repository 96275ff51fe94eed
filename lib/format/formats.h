// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <span>

#include "lib/format/format.h"

namespace vmferry {

/// The table: all formats there are, in the order in which an image is looked at. The last one is
/// raw, which everything could be.
std::span<const Format> formats();

}  // namespace vmferry
