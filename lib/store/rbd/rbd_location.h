// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string_view>

#include "vmferry/location.h"

namespace vmferry {

/// Is `text` an RBD location, well-formed or not?
bool names_rbd(std::string_view text);

}  // namespace vmferry
