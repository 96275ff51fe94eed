// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry {

/// Does it begin as an address, with letters before "://"?
bool is_address(std::string_view text);

/// What messages show of a text that is no location: not what comes after "://" or a second colon,
/// which may be a secret.
std::string without_secrets(std::string_view text);

}  // namespace vmferry
