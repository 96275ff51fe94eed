// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// How to reach a Ceph cluster. Empty: what librados finds by itself (CEPH_CONF,
/// /etc/ceph/CLUSTER.conf, CEPH_ARGS). What a location says itself ("rbd:...:id=x:conf=y") wins.
struct CephOptions {
  std::string conf;
  std::string id;  ///< without "client."; default admin
  std::string keyring;
  std::string cluster;  ///< default ceph
  /// How long monitors may take to answer (seconds); operations on data may take four times as
  /// long.
  unsigned timeout = 30;
  /// How long a copy waits for a cluster that was there and does not answer any more (seconds).
  /// Nothing: as long as operations on data.
  std::optional<unsigned> stall_timeout = {};
};

/// How a new RBD volume is laid out. Nothing: what the cluster's configuration says.
struct RbdLayout {
  std::optional<uint64_t> object_size;  ///< bytes; a power of two, 4 KiB to 32 MiB
  std::optional<uint64_t> stripe_unit;  ///< bytes
  std::optional<uint64_t> stripe_count;
  std::string data_pool;
  std::vector<std::string> features;  ///< "layering", "exclusive-lock" ...; empty: the default set

  bool operator==(const RbdLayout&) const = default;
};

}  // namespace VMFERRY_API vmferry
