// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <memory>
#include <optional>
#include <string>

#include "lib/store/rbd/ceph_connections.h"
#include "vmferry/error.h"
#include "vmferry/target.h"

namespace vmferry {

/// An Error from a negative return code of librbd or librados, with the hint that the code
/// deserves.
Error rbd_error(int rc, const RbdLocation& location, std::string action,
                std::optional<uint64_t> offset = std::nullopt);

/// The same for the data of a volume, which are in `data_pool`; empty: in the volume's own pool.
Error rbd_data_error(int rc, const RbdLocation& location, const std::string& data_pool,
                     std::string action, std::optional<uint64_t> offset = std::nullopt);

/// A connection to a cluster with one of its pools open. Immutable; any thread. Shared by what uses
/// it.
class RbdPool {
 public:
  /// Connects, or uses a connection that there is; a shared one that was cut off meanwhile is given
  /// up for a new one. Throws Error.
  RbdPool(const RbdLocation& location, const CephOptions& options, CephSharing sharing);
  /// Throws Error.
  RbdPool(const RbdLocation& location, std::shared_ptr<const CephClient> client);
  RbdPool(const RbdPool&) = delete;
  RbdPool& operator=(const RbdPool&) = delete;
  ~RbdPool() { rados_ioctx_destroy(io_); }

  const CephClient& client() const { return *client_; }
  std::shared_ptr<const CephClient> hold_client() const { return client_; }
  rados_ioctx_t io() const { return io_; }
  /// Names one volume in all the world.
  Identity identity_of(rbd_image_t image, const RbdLocation& location) const;

 private:
  void open_pool(const RbdLocation& location);
  void enter_namespace(const RbdLocation& location);
  bool was_cut_off() const;

  std::shared_ptr<const CephClient> client_;
  rados_ioctx_t io_ = nullptr;
};

/// An open volume; closes itself. Not copyable.
class RbdImage {
 public:
  RbdImage() = default;
  RbdImage(const RbdImage&) = delete;
  RbdImage& operator=(const RbdImage&) = delete;
  ~RbdImage() { close(); }

  /// Return codes as rbd_open and rbd_open_read_only give them.
  int open(rados_ioctx_t io, const std::string& name, const std::string& snapshot, bool read_only);
  /// Read-only, and without its name, which may have gone to another.
  int open_by_id(rados_ioctx_t io, const std::string& id, uint64_t snapshot_id);
  /// 0, or the negative code of rbd_close.
  int close();
  rbd_image_t get() const { return image_; }

 private:
  rbd_image_t image_ = nullptr;
};

}  // namespace vmferry
