// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "lib/format/compressed/unpack.h"
#include "vmferry/version.h"

namespace vmferry {

/// All that others may ask of the file that uses libarchive.
struct ArchiveModule : ModuleTable {
  decltype(&libarchive_version) version_of_library;
  decltype(&unpack_zstd) zstd;
  decltype(&unpack_bzip2) bzip2;
};

}  // namespace vmferry
