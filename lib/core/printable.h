// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry {

/// What an image calls a thing, fit for a terminal: control characters become '?'. Bytes of UTF-8
/// stay; what is no UTF-8 at all becomes '?', too.
std::string printable(std::string text);

}  // namespace vmferry
