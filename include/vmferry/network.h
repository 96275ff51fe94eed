// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/api.h"
#include "vmferry/ceph.h"

namespace VMFERRY_API vmferry {

/// How to reach what is not on this host. Each store takes its own part.
struct NetworkOptions {
  CephOptions ceph = {};
};

}  // namespace VMFERRY_API vmferry
