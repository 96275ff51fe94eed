// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/stores.h"

namespace vmferry {

std::span<const Store* const> stores() {
  static constexpr const Store* kStores[] = {&kRbdStore,  &kNbdStore,  &kHttpStore,
                                             &kPipeStore, &kNullStore, &kFileStore};
  return kStores;
}

}  // namespace vmferry
