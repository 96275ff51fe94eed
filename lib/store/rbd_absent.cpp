// SPDX-License-Identifier: LGPL-2.1-or-later
// Stands in for the rbd_*.cpp files where the build found no librbd.
#include "lib/store/rbd.h"
#include "lib/store/rbd_admin.h"
#include "vmferry/error.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

Error no_rbd(const RbdLocation& location) {
  return Error(
      {.kind = ErrorKind::kUnsupported,
       .object = location.display(),
       .action = "open",
       .cause = "this vmferry was built without RBD",
       .hint = "install librbd-dev and librados-dev and build again with -DVMFERRY_RBD=ON"});
}

}  // namespace

std::string librbd_version() { return {}; }

OpenVolume open_rbd_source(const RbdLocation& location, const CephOptions& /*options*/,
                           const std::string& /*mon_host*/) {
  throw no_rbd(location);
}

std::unique_ptr<Sink> open_rbd_sink(const RbdLocation& location, const TargetOptions& /*options*/) {
  throw no_rbd(location);
}

RbdPoolState rbd_pool_state(const std::string& pool, const CephOptions& /*options*/) {
  throw no_rbd({.pool = pool});
}

void prove_rbd_access(const std::string& pool, const CephOptions& /*options*/,
                      const std::string& /*mon_host*/) {
  throw no_rbd({.pool = pool});
}

std::optional<RbdVolumeState> rbd_volume_state(const RbdLocation& volume,
                                               const CephOptions& /*options*/) {
  throw no_rbd(volume);
}

size_t rbd_volume_writers(const RbdLocation& volume, const CephOptions& /*options*/) {
  throw no_rbd(volume);
}

std::optional<Identity> rbd_volume_identity(const RbdLocation& volume,
                                            const CephOptions& /*options*/) {
  throw no_rbd(volume);
}

void create_rbd_volume(const RbdLocation& volume, const TargetOptions& /*target*/) {
  throw no_rbd(volume);
}

void remove_rbd_volume(const RbdLocation& volume, const CephOptions& /*options*/,
                       std::stop_token /*stop*/) {
  throw no_rbd(volume);
}

void remove_rbd_left_over(const RbdLocation& volume, const CephOptions& /*options*/,
                          std::stop_token /*stop*/) {
  throw no_rbd(volume);
}

void sparsify_rbd_volume(const RbdLocation& volume, const RbdSparsifyOptions& /*options*/) {
  throw no_rbd(volume);
}

std::string ceph_user_key(const CephOptions& /*options*/) { throw no_rbd({}); }

SpaceUse sparsify_volume(const RbdLocation& location, const InPlaceOptions& /*options*/,
                         Progress& /*progress*/) {
  throw no_rbd(location);
}

std::optional<uint64_t> volume_bytes(const RbdLocation& location, const CephOptions& /*ceph*/) {
  throw no_rbd(location);
}

}  // namespace vmferry
