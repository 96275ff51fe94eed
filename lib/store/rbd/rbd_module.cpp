// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_module.h"

extern "C" const vmferry::RbdModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::RbdModule)},
    vmferry::librbd_version,
    vmferry::open_rbd_source,
    vmferry::open_rbd_target,
    vmferry::rbd_notes,
    vmferry::rbd_kept_digest,
    vmferry::rbd_keep_digest,
    vmferry::sparsify_volume,
    vmferry::volume_bytes,
    vmferry::hold_ceph_connection,
    vmferry::rbd_pool_state,
    vmferry::prove_rbd_access,
    vmferry::rbd_volume_state,
    vmferry::rbd_volume_names,
    vmferry::rbd_volume_writers,
    vmferry::rbd_volume_identity,
    vmferry::remove_rbd_volume,
    vmferry::remove_rbd_left_over,
    vmferry::sparsify_rbd_volume,
    vmferry::ceph_user_key,
    vmferry::open_shared_object,
    vmferry::pools_with_object,
    vmferry::ceph_troubles,
};
