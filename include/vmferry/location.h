// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <any>
#include <map>
#include <string>
#include <string_view>
#include <utility>

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

struct Store;

/// Where an image is: a value. What is inside only its own store looks at. Any thread may read it.
class Location {
 public:
  Location(PathLocation path);   // NOLINT(google-explicit-constructor): a path is a location
  Location(RbdLocation volume);  // NOLINT(google-explicit-constructor): so is a volume
  /// Of a store that parse_location does not know: `inside` is for it alone.
  Location(const Store& store, std::string display, std::any inside)
      : store_(&store), display_(std::move(display)), inside_(std::move(inside)) {}

  /// The name used in messages and reports. Holds no secret: the options of an RBD location, among
  /// which a key may be, are left out.
  const std::string& display() const { return display_; }
  /// The path of the file or device of this host that it is; empty: it is something else.
  const std::string& path() const;

  /// As a target it is standard output, which takes nothing but the disk then.
  bool is_standard_output() const;

  const Store& store() const { return *store_; }
  /// For its store. REQUIRES: a T was put in.
  template <typename T>
  const T& inside() const {
    return *std::any_cast<T>(&inside_);
  }

 private:
  const Store* store_;
  std::string display_;
  std::any inside_;
};

/// Which bytes a location really is, under whatever name: for "is that the same thing?".
struct Identity {
  /// Begins with a word of its store, so that no two stores' are the same ("file DEVICE:INODE").
  /// Journals of migrations have it: another version says the same.
  std::string text;
  bool operator==(const Identity&) const = default;
};

/// Understands `PATH`, `file:PATH`; `https://...`, `http://...`;
/// `rbd:POOL[/NAMESPACE]/IMAGE[@SNAPSHOT][:KEY=VALUE...]`, which is QEMU's spelling (QEMU's
/// block/rbd.c), where a backslash makes the next character an ordinary one; and
/// `nbd://HOST[:PORT]/EXPORT`, `nbd+unix:///EXPORT?socket=PATH`, or "nbds" for TLS, as libnbd has
/// them (nbd_connect_uri(3)). `-` is standard input or output, and `null:` a target that keeps
/// nothing. A path that begins with "rbd:", is "-" or looks like an address is written
/// "./rbd:...". Pure parsing: nothing is opened. Throws Error kUsage (malformed) or kUnsupported
/// (other addresses).
Location parse_location(std::string_view text);

/// The same where only a volume makes sense. Throws kUsage for everything else.
RbdLocation parse_rbd_location(std::string_view text);

}  // namespace VMFERRY_API vmferry
