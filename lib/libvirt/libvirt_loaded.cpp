// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of libvirt_host.cpp: asks the module for what it does.
#include "lib/libvirt/libvirt_module.h"

namespace vmferry {
namespace {

const LibvirtModule& libvirt_module() {
  static const LibvirtModule& table = module_table<LibvirtModule>("vmferry-libvirt", "libvirt0");
  return table;
}

}  // namespace

std::string libvirt_version() {
  return module_version(libvirt_module, &LibvirtModule::version_of_library);
}

std::shared_ptr<Host> connect_host(const std::string& uri) { return libvirt_module().connect(uri); }

}  // namespace vmferry
