// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <span>

#include "lib/store/store.h"

namespace vmferry {

extern const Store kFileStore;  ///< lib/store/file: PathLocation
extern const Store kHttpStore;  ///< lib/store/http: HttpLocation
extern const Store kRbdStore;   ///< lib/store/rbd: RbdLocation
extern const Store kNbdStore;   ///< lib/store/nbd: NbdAddress
extern const Store kPipeStore;  ///< lib/store/pipe: "-"
extern const Store kNullStore;  ///< lib/store/pipe: "null:"

/// The table: all stores there are. Nearly every text can be a path, so files come last.
std::span<const Store* const> stores();

}  // namespace vmferry
