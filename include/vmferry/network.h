// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <stop_token>

#include "vmferry/api.h"
#include "vmferry/ceph.h"
#include "vmferry/http.h"

namespace VMFERRY_API vmferry {

/// How to reach what is not on this host. Each store takes its own part.
struct NetworkOptions {
  CephOptions ceph = {};
  HttpOptions http = {};
  /// When triggered, what waits for a server gives up: Error kCancelled.
  std::stop_token stop = {};

  /// How long a copy waits for what was there and does not answer any more (seconds).
  void set_stall_timeout(unsigned seconds) { ceph.stall_timeout = http.stall_timeout = seconds; }
};

}  // namespace VMFERRY_API vmferry
