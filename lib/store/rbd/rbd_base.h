// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/source.h"

namespace vmferry {

/// The snapshot that a new volume is made a clone of. One thread, but for disk().
class RbdBase {
 public:
  /// Opens it, with the connection of `volumes`, the pool that the new volume will be in. Throws
  /// Error where it is not there, or cannot be cloned as far as that can be asked.
  RbdBase(const RbdLocation& snapshot, const RbdPool& volumes);

  /// Makes the volume `name` of `io` a clone of it. Throws Error: about the base, but where
  /// `layout` makes no sense about `location`.
  void clone(rados_ioctx_t io, const std::string& name, const RbdLayout& layout,
             const RbdLocation& location) const;
  uint64_t size() const { return size_; }

  /// From now on there is a disk(), with the size that the volume has.
  void open_disk(uint64_t size);
  /// What the snapshot holds. Any thread.
  const Source& disk() const { return *disk_; }

 private:
  Error refusal(std::string cause, std::string hint) const;
  void open();
  [[noreturn]] void tell_what_is_missing() const;
  void refuse_image() const;
  void refuse_depth() const;

  const RbdLocation location_;
  const std::shared_ptr<const RbdPool> pool_;
  RbdImage image_;
  uint64_t size_ = 0;
  std::unique_ptr<Source> disk_;
};

}  // namespace vmferry
