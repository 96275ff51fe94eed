// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/error.h"
#include "vmferry/hypervisor.h"
#include "vmferry/version.h"

// In place of libvirt_host.cpp where libvirt was not found.

namespace vmferry {

std::shared_ptr<Hypervisor> connect_hypervisor(const std::string& uri) {
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = uri,
               .action = "connect",
               .cause = "this build of vmferry knows no libvirt",
               .hint = "install libvirt-dev and build again"});
}

std::string libvirt_version() { return {}; }

}  // namespace vmferry
