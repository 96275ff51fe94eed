// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vmferry {

/// The key of `entity` ("client.admin") in the text of a keyring: sections [ENTITY] with lines
/// "key = KEY" (Ceph's auth/KeyRing.cc). Of several the last counts. Pure; any thread.
std::optional<std::string> find_key(std::string_view keyring, std::string_view entity);

}  // namespace vmferry
