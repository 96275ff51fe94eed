// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "lib/store/rbd/ceph_client.h"

namespace vmferry {

/// The key of a client's user, or why there is none.
struct KeySearch {
  std::optional<std::string> key;
  std::string failure = {};  ///< "no key for this user found (looked in FILE)" and the like
};

/// Looks where librados does (KeyRing::from_ceph_context): options "key" and "keyfile", then the
/// first file of the option "keyring" that can be opened. Talks to nobody; throws nothing but for
/// want of memory.
KeySearch find_user_key(const CephClient& client);

}  // namespace vmferry
