// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "lib/libvirt/call_teller.h"
#include "vmferry/guest.h"

namespace vmferry::libvirt {

/// Passes every call on, and tells of it: of the domain `name`, on the teller's host.
std::shared_ptr<Guest> trace_guest(std::shared_ptr<Guest> guest, std::string name,
                                   CallTeller teller);

}  // namespace vmferry::libvirt
