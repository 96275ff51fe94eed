// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/libvirt_module.h"

extern "C" const vmferry::LibvirtModule vmferry_module = {
    {vmferry::kVersion}, vmferry::libvirt_version, vmferry::connect_hypervisor};
