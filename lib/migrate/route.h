// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// Where the target's QEMU listens for the guest, and where the source's QEMU sends it, as
/// virDomainMigrate3 takes them. Empty: libvirt chooses.
struct Route {
  std::string listen;
  std::string uri;
};

/// The route of a live move to the host of `target_uri` (a libvirt URI). Looks names up; throws
/// Error kNotFound.
Route route_of(const MigrateRequest& request, const std::string& target_uri);

/// Does the guest get to where the target listens? Looks names up. Throws Error kConflict, or
/// kUsage: it is not a migration URI.
void require_one_address(const Route& route);

/// Tries from this machine whether the target's address answers, for some seconds at most. Throws
/// Error: it does not. False: there is no address to try (libvirt chooses, or it is a socket).
bool try_to_reach(const Route& route);

}  // namespace vmferry::migrate
