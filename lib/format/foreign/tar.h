// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// A file in an archive, which lies there as it is.
struct TarMember {
  std::string name;
  uint64_t offset = 0;  ///< of its bytes in the archive
  uint64_t length = 0;  ///< bytes
};

/// The regular files in a tar archive (POSIX ustar and pax, and GNU's long names), in their order.
/// Reads headers only. Throws Error (kCorrupt, kUnsupported): it is cut, a header is damaged, or
/// there are more than 4096 of them.
std::vector<TarMember> list_tar(const Source& archive);

}  // namespace vmferry
