// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/libvirt_module.h"

extern "C" const vmferry::LibvirtModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::LibvirtModule)},
    vmferry::libvirt_version,
    vmferry::connect_host};
