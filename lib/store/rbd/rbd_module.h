// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/shared_object.h"

namespace vmferry {

/// All that others may ask of the files that use librbd. A function of rbd.h, rbd_admin.h or
/// shared_object.h has a line here, one in rbd_module.cpp, and one in rbd_loaded.cpp.
struct RbdModule : ModuleTable {
  decltype(&librbd_version) version_of_library;
  decltype(&open_rbd_source) open_source;
  decltype(&open_rbd_target) open_target;
  decltype(&rbd_notes) notes;
  decltype(&rbd_kept_digest) kept_digest;
  decltype(&rbd_keep_digest) keep_digest;
  decltype(&sparsify_volume) sparsify;
  decltype(&volume_bytes) bytes;
  decltype(&hold_ceph_connection) hold_connection;
  decltype(&rbd_pool_state) pool_state;
  decltype(&prove_rbd_access) prove_access;
  decltype(&rbd_volume_state) volume_state;
  decltype(&rbd_volume_names) volume_names;
  decltype(&rbd_volume_writers) volume_writers;
  decltype(&rbd_volume_identity) volume_identity;
  decltype(&rbd_volume_clones) volume_clones;
  decltype(&remove_rbd_volume) remove_volume;
  decltype(&remove_rbd_left_over) remove_left_over;
  decltype(&update_rbd_volume) update_volume;
  decltype(&create_rbd_snapshot) create_snapshot;
  decltype(&remove_rbd_snapshot) remove_snapshot;
  decltype(&rbd_copied_snapshots) copied_snapshots;
  decltype(&remove_rbd_copied_snapshot) remove_copied_snapshot;
  decltype(&rename_rbd_snapshot) rename_snapshot;
  decltype(&sparsify_rbd_volume) sparsify_with;
  decltype(&ceph_user_key) user_key;
  decltype(&open_shared_object) shared_object;
  decltype(&pools_with_object) pools_with;
  decltype(&ceph_troubles) troubles;
};

}  // namespace vmferry
