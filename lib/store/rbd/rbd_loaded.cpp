// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of the files that use librbd: asks the module for what they do.
#include "lib/store/rbd/rbd_module.h"

namespace vmferry {
namespace {

const RbdModule& rbd_module() {
  static const RbdModule& table = module_table<RbdModule>("vmferry-rbd", "librbd1 and librados2");
  return table;
}

}  // namespace

std::string librbd_version() { return module_version(rbd_module, &RbdModule::version_of_library); }

OpenBytes open_rbd_source(const RbdLocation& location, const CephOptions& options) {
  return rbd_module().open_source(location, options);
}

std::unique_ptr<Target> open_rbd_target(const RbdLocation& location, const TargetOptions& options) {
  return rbd_module().open_target(location, options);
}

std::map<std::string, std::string> rbd_notes(const RbdLocation& volume,
                                             const CephOptions& options) {
  return rbd_module().notes(volume, options);
}

std::string rbd_kept_digest(const RbdLocation& snapshot, const CephOptions& options) {
  return rbd_module().kept_digest(snapshot, options);
}

void rbd_keep_digest(const RbdLocation& snapshot, const CephOptions& options,
                     const std::string& digest) {
  rbd_module().keep_digest(snapshot, options, digest);
}

SpaceUse sparsify_volume(const RbdLocation& location, const InPlaceOptions& options,
                         Progress& progress) {
  return rbd_module().sparsify(location, options, progress);
}

std::optional<uint64_t> volume_bytes(const RbdLocation& location, const CephOptions& ceph) {
  return rbd_module().bytes(location, ceph);
}

std::shared_ptr<const void> hold_ceph_connection(const RbdLocation& volume,
                                                 const CephOptions& options) {
  return rbd_module().hold_connection(volume, options);
}

RbdPoolState rbd_pool_state(const std::string& pool, const CephOptions& options) {
  return rbd_module().pool_state(pool, options);
}

void prove_rbd_access(const std::string& pool, const CephOptions& options,
                      const std::string& mon_host) {
  rbd_module().prove_access(pool, options, mon_host);
}

std::optional<RbdVolumeState> rbd_volume_state(const RbdLocation& volume,
                                               const CephOptions& options) {
  return rbd_module().volume_state(volume, options);
}

std::vector<std::string> rbd_volume_names(const std::string& pool, const CephOptions& options) {
  return rbd_module().volume_names(pool, options);
}

size_t rbd_volume_writers(const RbdLocation& volume, const CephOptions& options) {
  return rbd_module().volume_writers(volume, options);
}

std::optional<Identity> rbd_volume_identity(const RbdLocation& volume, const CephOptions& options) {
  return rbd_module().volume_identity(volume, options);
}

std::vector<RbdClone> rbd_volume_clones(const RbdLocation& volume, const CephOptions& options) {
  return rbd_module().volume_clones(volume, options);
}

void remove_rbd_volume(const RbdLocation& volume, const CephOptions& options,
                       SnapshotRemoval snapshots, std::stop_token stop) {
  rbd_module().remove_volume(volume, options, snapshots, std::move(stop));
}

void remove_rbd_left_over(const RbdLocation& volume, const CephOptions& options,
                          std::stop_token stop) {
  rbd_module().remove_left_over(volume, options, std::move(stop));
}

std::unique_ptr<Target> update_rbd_volume(const RbdLocation& volume, const TargetOptions& options) {
  return rbd_module().update_volume(volume, options);
}

void create_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options) {
  rbd_module().create_snapshot(snapshot, options);
}

void remove_rbd_snapshot(const RbdLocation& snapshot, const CephOptions& options) {
  rbd_module().remove_snapshot(snapshot, options);
}

std::vector<CopiedSnapshot> rbd_copied_snapshots(const RbdLocation& volume,
                                                 const CephOptions& options) {
  return rbd_module().copied_snapshots(volume, options);
}

std::string remove_rbd_copied_snapshot(const RbdLocation& snapshot, const std::string& id,
                                       const CephOptions& options) {
  return rbd_module().remove_copied_snapshot(snapshot, id, options);
}

void rename_rbd_snapshot(const RbdLocation& snapshot, const std::string& name,
                         const CephOptions& options) {
  rbd_module().rename_snapshot(snapshot, name, options);
}

void sparsify_rbd_volume(const RbdLocation& volume, const RbdSparsifyOptions& options) {
  rbd_module().sparsify_with(volume, options);
}

std::string ceph_user_key(const CephOptions& options) { return rbd_module().user_key(options); }

std::unique_ptr<SharedObject> open_shared_object(const SharedObjectPlace& place,
                                                 const CephOptions& options,
                                                 std::chrono::seconds patience) {
  return rbd_module().shared_object(place, options, patience);
}

std::vector<std::string> pools_with_object(const std::string& name_space, const std::string& name,
                                           const CephOptions& options) {
  return rbd_module().pools_with(name_space, name, options);
}

std::vector<std::string> ceph_troubles(const std::string& pool, const CephOptions& options) {
  return rbd_module().troubles(pool, options);
}

}  // namespace vmferry
