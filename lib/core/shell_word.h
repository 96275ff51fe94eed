// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry {

/// As one word of a command that a person shall copy into a shell: in quotes where it needs them.
std::string shell_word(const std::string& word);

}  // namespace vmferry
