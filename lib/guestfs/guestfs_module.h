// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "vmferry/trim.h"
#include "vmferry/version.h"

namespace vmferry {

/// All that others may ask of the files that use libguestfs.
struct GuestfsModule : ModuleTable {
  decltype(&libguestfs_version) version_of_library;
  decltype(&trim_copy) copy;
  decltype(&trim_in_place) in_place;
};

}  // namespace vmferry
