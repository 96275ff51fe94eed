// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>

namespace vmferry::libvirt {

std::string to_base64(const unsigned char* bytes, size_t size);
/// Empty if `text` is no base64.
std::string from_base64(const std::string& text);

}  // namespace vmferry::libvirt
