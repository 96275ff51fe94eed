// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/module.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <string_view>

#include "vmferry/version.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

Error cannot_load(const std::string& file, std::string cause, const std::string& needs) {
  return Error(
      {.kind = ErrorKind::kUnsupported,
       .object = file,
       .action = "load",
       .cause = std::move(cause),
       .hint = "install " + needs + "; if this vmferry was built without, build it again"});
}

/// The folder of the program, library or module that this code is in.
fs::path own_folder() {
  Dl_info info;
  struct link_map* map = nullptr;
  void** const answer = reinterpret_cast<void**>(&map);
  const bool known =
      ::dladdr1(reinterpret_cast<const void*>(&load_module), &info, answer, RTLD_DL_LINKMAP) != 0;
  std::error_code failed;
  // The program's own entry in the list of what is loaded has no name.
  const bool in_library = known && map != nullptr && map->l_name[0] != '\0';
  const fs::path file =
      in_library ? fs::absolute(map->l_name, failed) : fs::read_symlink("/proc/self/exe", failed);
  return file.parent_path();
}

/// Beside the program as it was built, below the library, or where the program finds them when it
/// is installed. Empty: in none of them. The loader's own search would look into other folders.
fs::path find_module(const std::string& file) {
  const fs::path folder = own_folder();
  for (const fs::path& place :
       {folder, folder / "vmferry", folder / VMFERRY_MODULES_FROM_PROGRAM}) {
    std::error_code failed;
    if (!folder.empty() && fs::exists(place / file, failed)) {
      return place / file;
    }
  }
  return {};
}

}  // namespace

const ModuleTable& load_module(const std::string& name, const std::string& needs) {
  const std::string file = name + ".so";
  const fs::path path = find_module(file);
  if (path.empty()) {
    throw cannot_load(file, "this vmferry has no such module", needs);
  }
  // Never closed: librados and libvirt leave threads and handlers behind.
  void* module = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (module == nullptr) {
    throw cannot_load(file, ::dlerror(), needs);
  }
  const auto* table = static_cast<const ModuleTable*>(::dlsym(module, "vmferry_module"));
  if (table == nullptr || std::string_view(table->version) != kVersion) {
    throw cannot_load(file, "it is of another version of vmferry", needs);
  }
  return *table;
}

}  // namespace vmferry
