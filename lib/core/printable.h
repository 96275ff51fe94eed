// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry {

/// What an image calls a thing, fit for a terminal: each byte of a control character, and each that
/// is not UTF-8, becomes '?'.
std::string printable(std::string_view text);

}  // namespace vmferry
