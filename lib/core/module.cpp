// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/module.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

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

/// The program, library or module that this code is in. Empty: not known for sure.
fs::path own_file() {
  Dl_info info;
  struct link_map* map = nullptr;
  void** const answer = reinterpret_cast<void**>(&map);
  const bool known =
      ::dladdr1(reinterpret_cast<const void*>(&load_module), &info, answer, RTLD_DL_LINKMAP) != 0;
  std::error_code failed;
  if (!known || map == nullptr || map->l_name[0] == '\0') {
    return fs::read_symlink("/proc/self/exe", failed);  // the program's own entry has no name
  }
  // A relative one, of LD_LIBRARY_PATH, was so from a directory that may not be the current one.
  const fs::path name = map->l_name;
  return name.is_absolute() ? fs::canonical(name, failed) : fs::path();
}

/// Whoever made the program, or root, has made the module as well: in /tmp others may put files
/// beside it.
bool is_trusted(const fs::path& module, const fs::path& own) {
  struct stat of_module;
  struct stat of_own;
  return ::stat(module.c_str(), &of_module) == 0 && ::stat(own.c_str(), &of_own) == 0 &&
         (of_module.st_uid == of_own.st_uid || of_module.st_uid == 0);
}

/// Beside the program as it was built, below the library, or where the program finds them when it
/// is installed. Empty: in none of them. The loader's own search would look into other folders.
fs::path find_module(const std::string& file) {
  static const fs::path own = own_file();
  if (own.empty()) {
    return {};
  }
  const fs::path folder = own.parent_path();
  for (const fs::path& place :
       {folder, folder / "vmferry", folder / VMFERRY_MODULES_FROM_PROGRAM}) {
    if (is_trusted(place / file, own)) {
      return place / file;
    }
  }
  return {};
}

}  // namespace

const ModuleTable& load_module(const std::string& name, size_t size, const std::string& needs) {
  const std::string file = name + ".so";
  const fs::path path = find_module(file);
  if (path.empty()) {
    throw cannot_load(file, "this vmferry has no such module", needs);
  }
  // Never closed: librados and libvirt leave threads and handlers behind. A library that lacks what
  // is called is found now, and not in the middle of a copy.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    throw cannot_load(file, ::dlerror(), needs);
  }
  const auto* table = static_cast<const ModuleTable*>(::dlsym(module, "vmferry_module"));
  if (table == nullptr || std::string_view(table->version) != kVersion || table->size != size) {
    throw cannot_load(file, "it is of another build of vmferry", needs);
  }
  return *table;
}

}  // namespace vmferry
