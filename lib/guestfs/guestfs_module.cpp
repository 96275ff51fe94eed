// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guestfs/guestfs_module.h"

extern "C" const vmferry::GuestfsModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::GuestfsModule)},
    vmferry::libguestfs_version,
    vmferry::trim_copy,
    vmferry::trim_in_place};
