// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

namespace vmferry {

/// "4 MiB" where the number is a whole multiple, otherwise the plain number "4194305": messages
/// must name the very byte.
std::string exact_bytes(uint64_t bytes);

/// "374.2 MiB": for people, rounded.
std::string about_bytes(uint64_t bytes);

}  // namespace vmferry
