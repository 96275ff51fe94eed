// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/compressed/archive_module.h"

extern "C" const vmferry::ArchiveModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::ArchiveModule)},
    vmferry::libarchive_version,
    vmferry::unpack_zstd,
    vmferry::unpack_bzip2};
