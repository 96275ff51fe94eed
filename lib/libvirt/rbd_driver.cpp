// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/rbd_driver.h"

#include <filesystem>
#include <string>
#include <vector>

// Where distributions put QEMU's modules.

namespace vmferry::libvirt {
namespace fs = std::filesystem;

std::optional<bool> local_rbd_driver() {
  std::error_code ignored;
  std::vector<fs::path> places = {"/usr/lib64/qemu-kvm", "/usr/lib64/qemu", "/usr/lib/qemu"};
  for (const auto& entry : fs::directory_iterator("/usr/lib", ignored)) {
    places.push_back(entry.path() / "qemu");
  }
  bool modular = false;
  for (const fs::path& place : places) {
    for (const auto& entry : fs::directory_iterator(place, ignored)) {
      const std::string name = entry.path().filename().string();
      if (name == "block-rbd.so") {
        return true;
      }
      modular = modular || name.starts_with("block-");
    }
  }
  return modular ? std::optional(false) : std::nullopt;
}

}  // namespace vmferry::libvirt
