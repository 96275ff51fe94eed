// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/store/store.h"
#include "vmferry/error.h"

namespace vmferry {

/// Standard input as a stream. Throws Error where it is a terminal, or cannot be read.
OpenStream open_standard_input();

/// What is said to who wants more of standard input than one look at each byte.
Error only_in_order();

}  // namespace vmferry
