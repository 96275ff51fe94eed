// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/sparsify/guestfs_module.h"

extern "C" const vmferry::GuestfsModule vmferry_module = {
    {vmferry::kVersion}, vmferry::libguestfs_version, vmferry::trim_copy, vmferry::trim_in_place};
