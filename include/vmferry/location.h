// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// A file or a block device.
struct PathLocation {
  std::string path;
};

/// A volume of a Ceph cluster, or a snapshot of one.
struct RbdLocation {
  std::string pool;
  std::string name_space = {};  ///< RADOS namespace; empty: the default one
  std::string image = {};
  std::string snapshot = {};  ///< empty: the volume itself
  /// What followed the image in QEMU's spelling: "id", "conf", and any Ceph option ("mon_host"
  /// ...).
  std::map<std::string, std::string> options = {};

  /// "rbd:pool/namespace/image@snap": the name used in messages. "rbd:pool" without an image.
  std::string display() const;
  /// "pool/namespace/image@snap", as Ceph's commands take it ("rbd status NAME"), in quotes for a
  /// shell where it needs them. Without an image "pool/namespace" ("rbd ls NAME").
  std::string ceph_name() const;
  /// The volume of that name beside this one; "": their pool and namespace.
  RbdLocation beside(std::string name) const;
};

using Location = std::variant<PathLocation, RbdLocation>;

/// The name used in messages and reports. Leaves out the options of an RBD location: a key may be
/// among them.
std::string display_name(const Location& location);

/// Understands `PATH`, `file:PATH` and `rbd:POOL[/NAMESPACE]/IMAGE[@SNAPSHOT][:KEY=VALUE...]`; the
/// last is QEMU's spelling (QEMU's block/rbd.c), where a backslash makes the next character an
/// ordinary one. A path that begins with "rbd:" or looks like an address is written "./rbd:...".
/// Pure parsing: nothing is opened. Throws Error kUsage (malformed) or kUnsupported (nbd:// and the
/// like).
Location parse_location(std::string_view text);

}  // namespace VMFERRY_API vmferry
