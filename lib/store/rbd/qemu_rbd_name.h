// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/ceph.h"
#include "vmferry/location.h"

namespace vmferry {

/// The name by which QEMU opens the volume: "rbd:pool/image@snap:id=x:conf=y"
/// (qemu_rbd_parse_filename in its block/rbd.c). What the location says itself wins over `ceph`.
std::string qemu_rbd_name(const RbdLocation& volume, const CephOptions& ceph);

}  // namespace vmferry
