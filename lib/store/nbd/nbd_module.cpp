// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/nbd/nbd_module.h"

extern "C" const vmferry::NbdModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::NbdModule)},
    vmferry::libnbd_version,
    vmferry::open_nbd_source,
    vmferry::open_nbd_target,
};
