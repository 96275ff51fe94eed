// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "vmferry/host.h"
#include "vmferry/version.h"

namespace vmferry {

/// All that others may ask of libvirt_host.cpp.
struct LibvirtModule : ModuleTable {
  decltype(&libvirt_version) version_of_library;
  decltype(&connect_host) connect;
};

}  // namespace vmferry
