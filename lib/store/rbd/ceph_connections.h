// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/store/rbd/ceph_client.h"

namespace vmferry {

/// Whose a connection to a cluster is.
enum class CephSharing {
  /// Everybody's in this process who asks the same cluster as the same user with the same options.
  /// It lasts as long as somebody holds it. For those who read and ask.
  kShared,
  /// Ours alone. For those who write under a claim or a lock: who takes over from them cuts off
  /// the whole client, which must hit nobody else; and what a thread that was left behind still
  /// does must be cut off together with it. Also for those who want to see that a connection can be
  /// made.
  kOwn,
};

/// A connected client, within options.timeout. Throws Error, about `location`. Any thread; who
/// wants one that is being made waits for it.
std::shared_ptr<CephClient> connect_to_ceph(const RbdLocation& location, const CephOptions& options,
                                            CephSharing sharing);

/// From now on nobody is given this client any more; who holds it keeps it. For one that was cut
/// off. Any thread.
void forget_connection(const CephClient& client);

}  // namespace vmferry
