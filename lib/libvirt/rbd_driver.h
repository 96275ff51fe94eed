// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>

namespace vmferry::libvirt {

/// Has the QEMU of this machine its rbd driver? Nothing: it has no modules to look for.
std::optional<bool> local_rbd_driver();

}  // namespace vmferry::libvirt
