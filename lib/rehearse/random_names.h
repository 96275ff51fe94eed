// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry::rehearsal {

/// A UUID of version 4 (RFC 4122).
std::string random_uuid();
/// An Ethernet address of those that QEMU's guests have: "52:54:00:...".
std::string random_mac();

}  // namespace vmferry::rehearsal
