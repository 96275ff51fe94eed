// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_cluster.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "lib/store/descriptors.h"

namespace vmferry {
namespace {

std::string pool_word(const std::string& pool) { return RbdLocation{.pool = pool}.ceph_name(); }

}  // namespace

Error rbd_error(int rc, const RbdLocation& location, std::string action,
                std::optional<uint64_t> offset) {
  return rbd_data_error(rc, location, {}, std::move(action), offset);
}

Error rbd_data_error(int rc, const RbdLocation& location, const std::string& data_pool,
                     std::string action, std::optional<uint64_t> offset) {
  const std::string& pool = data_pool.empty() ? location.pool : data_pool;
  const int code = -rc;
  ErrorParts parts = errno_error(code, location.display(), std::move(action), offset).parts();
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      parts.cause += fmt::format(" (pool '{}' is full, or its quota is used up)", pool);
      parts.hint = "see 'ceph df' and 'ceph osd pool get-quota " + pool_word(pool) + "'";
      break;
    case ETIMEDOUT:
      parts.cause = "the cluster did not answer in time";
      parts.hint = "see 'ceph -s'; --ceph-timeout gives it longer, and --stall-timeout a copy";
      if (free_descriptors(1) == 0) {  // librados tries to connect again and again
        parts.cause = "no file descriptor was left for a connection to the cluster";
        parts.hint = "raise the limit: 'ulimit -n 4096', or LimitNOFILE= of a systemd unit";
      }
      break;
    case EACCES:
    case EPERM:
      parts.hint =
          "check --id and --keyring; the user needs mon 'profile rbd' and osd 'profile rbd', for "
          "this pool and namespace";
      break;
    case ENAMETOOLONG:
      parts.hint = "choose a shorter name";
      break;
    case ESHUTDOWN:
      parts.cause = "this client was blocklisted: another one took over, or an operator cut it off";
      break;
    default:
      break;
  }
  return Error(std::move(parts));
}

RbdPool::RbdPool(const RbdLocation& location, const CephOptions& options, CephSharing sharing)
    : client_(connect_to_ceph(location, options, sharing)) {
  open_pool(location);
  const bool is_new = client_.use_count() == 1;
  if (!is_new && was_cut_off()) {
    rados_ioctx_destroy(io_);
    forget_connection(*client_);
    client_ = connect_to_ceph(location, options, sharing);
    open_pool(location);
  }
  enter_namespace(location);
}

RbdPool::RbdPool(const RbdLocation& location, std::shared_ptr<const CephClient> client)
    : client_(std::move(client)) {
  open_pool(location);
  enter_namespace(location);
}

void RbdPool::open_pool(const RbdLocation& location) {
  const int rc = rados_ioctx_create(client_->get(), location.pool.c_str(), &io_);
  if (rc == -ENOENT) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = location.display(),
                 .action = "open the pool",
                 .cause = "there is no pool '" + location.pool + "'",
                 .hint = "'ceph osd pool ls' shows those there are"});
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "open the pool");
  }
  // Without this a write to a full pool waits, forever, until there is room.
  rados_set_pool_full_try(io_);
}

/// An OSD answers nothing else to a client that is on the blocklist, whatever it asks.
bool RbdPool::was_cut_off() const {
  uint64_t size = 0;
  time_t time = 0;
  return rados_stat(io_, "rbd_directory", &size, &time) == -ESHUTDOWN;
}

void RbdPool::enter_namespace(const RbdLocation& location) {
  if (location.name_space.empty()) {
    return;
  }
  rados_ioctx_set_namespace(io_, location.name_space.c_str());
  bool exists = false;
  const int rc = rbd_namespace_exists(io_, location.name_space.c_str(), &exists);
  if (rc >= 0 && exists) {
    return;
  }
  rados_ioctx_destroy(io_);
  if (rc < 0) {
    throw rbd_error(rc, location, "look for the namespace");
  }
  throw Error(
      {.kind = ErrorKind::kNotFound,
       .object = location.display(),
       .action = "open the namespace",
       .cause = "the pool has no namespace '" + location.name_space + "'",
       .hint = "'rbd namespace ls " + pool_word(location.pool) + "' shows those there are"});
}

Identity RbdPool::identity_of(rbd_image_t image, const RbdLocation& location) const {
  std::array<char, 64> fsid = {};
  std::array<char, 256> id = {};
  int rc = rados_cluster_fsid(client_->get(), fsid.data(), fsid.size());
  if (rc >= 0) {
    rc = rbd_get_id(image, id.data(), id.size());
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "ask for its id");
  }
  return {fmt::format("volume {}/{}/{}", fsid.data(), rados_ioctx_get_id(io_), id.data())};
}

int RbdImage::open(rados_ioctx_t io, const std::string& name, const std::string& snapshot,
                   bool read_only) {
  const char* snap = snapshot.empty() ? nullptr : snapshot.c_str();
  return read_only ? rbd_open_read_only(io, name.c_str(), &image_, snap)
                   : rbd_open(io, name.c_str(), &image_, snap);
}

int RbdImage::open_by_id(rados_ioctx_t io, const std::string& id, uint64_t snapshot_id) {
  const int rc = rbd_open_by_id_read_only(io, id.c_str(), &image_, nullptr);
  return rc < 0 ? rc : rbd_snap_set_by_id(image_, snapshot_id);
}

int RbdImage::close() {
  if (image_ == nullptr) {
    return 0;
  }
  const int rc = rbd_close(image_);
  image_ = nullptr;
  return rc;
}

}  // namespace vmferry
