// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// A cryptographic checksum of a file as it is stored, as publishers of images print it. (What a
/// guest sees of it has a DiskDigest.)
struct FileChecksum {
  std::string algorithm;  ///< "sha256" or "sha512"
  std::string digits;     ///< hexadecimal, small letters

  std::string text() const { return algorithm + ":" + digits; }
};

/// "sha256:HEX" or "sha512:HEX". Throws Error kUsage.
FileChecksum parse_checksum(std::string_view text);

}  // namespace VMFERRY_API vmferry
