// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/qemu_rbd_name.h"

#include <cstring>
#include <map>

namespace vmferry {
namespace {

/// A part of the name (qemu_rbd_next_tok in QEMU's block/rbd.c).
std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (std::strchr("\\:@/=", c) != nullptr) {
      safe += '\\';
    }
    safe += c;
  }
  return safe;
}

}  // namespace

std::string qemu_rbd_name(const RbdLocation& volume, const CephOptions& ceph) {
  std::string name = "rbd:" + escaped(volume.pool) + "/";
  if (!volume.name_space.empty()) {
    name += escaped(volume.name_space) + "/";
  }
  name += escaped(volume.image);
  if (!volume.snapshot.empty()) {
    name += "@" + escaped(volume.snapshot);
  }
  std::map<std::string, std::string> options = {
      {"id", ceph.id}, {"keyring", ceph.keyring}, {"conf", ceph.conf}};
  if (ceph.conf.empty() && !ceph.cluster.empty()) {
    options["conf"] = "/etc/ceph/" + ceph.cluster + ".conf";
  }
  for (const auto& [key, value] : volume.options) {
    options[key] = value;
  }
  for (const auto& [key, value] : options) {
    if (!value.empty()) {
      name += ":" + escaped(key) + "=" + escaped(value);
    }
  }
  return name;
}

}  // namespace vmferry
