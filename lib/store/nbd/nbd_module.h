// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "lib/store/nbd/nbd.h"
#include "vmferry/version.h"

namespace vmferry {

/// All that others may ask of the files that use libnbd.
struct NbdModule : ModuleTable {
  decltype(&libnbd_version) version_of_library;
  decltype(&open_nbd_source) open_source;
  decltype(&open_nbd_target) open_target;
};

}  // namespace vmferry
