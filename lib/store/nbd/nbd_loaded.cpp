// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of the files that use libnbd: asks the module for what they do.
#include "lib/store/nbd/nbd_module.h"

namespace vmferry {
namespace {

const NbdModule& nbd_module() {
  static const NbdModule& table = module_table<NbdModule>("vmferry-nbd", "libnbd0");
  return table;
}

}  // namespace

std::string libnbd_version() { return module_version(nbd_module, &NbdModule::version_of_library); }

OpenBytes open_nbd_source(const NbdAddress& address, const NbdOptions& options) {
  return nbd_module().open_source(address, options);
}

std::unique_ptr<Target> open_nbd_target(const NbdAddress& address, const TargetOptions& options) {
  return nbd_module().open_target(address, options);
}

}  // namespace vmferry
