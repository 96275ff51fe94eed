// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/module.h"

#include <dlfcn.h>

#include <string_view>

#include "vmferry/version.h"

namespace vmferry {
namespace {

Error cannot_load(const std::string& file, std::string cause, const std::string& needs) {
  return Error(
      {.kind = ErrorKind::kUnsupported,
       .object = file,
       .action = "load",
       .cause = std::move(cause),
       .hint = "install " + needs + "; if this vmferry was built without, build it again"});
}

}  // namespace

const ModuleTable& load_module(const std::string& name, const std::string& needs) {
  const std::string file = name + ".so";
  // Never closed: librados and libvirt leave threads and handlers behind.
  void* module = ::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (module == nullptr) {
    std::string cause = ::dlerror();
    if (cause.starts_with(file + ": ")) {
      cause.erase(0, file.size() + 2);
    }
    throw cannot_load(file, std::move(cause), needs);
  }
  const auto* table = static_cast<const ModuleTable*>(::dlsym(module, "vmferry_module"));
  if (table == nullptr || std::string_view(table->version) != kVersion) {
    throw cannot_load(file, "it is of another version of vmferry", needs);
  }
  return *table;
}

}  // namespace vmferry
