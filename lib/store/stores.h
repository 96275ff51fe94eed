// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/store/store.h"

namespace vmferry {

extern const Store kFileStore;  ///< lib/store/file: PathLocation
extern const Store kRbdStore;   ///< lib/store/rbd: RbdLocation

}  // namespace vmferry
