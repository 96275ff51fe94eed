// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "tools/vmferry/ui/session.h"
#include "vmferry/location.h"

namespace vmferry::cli {

/// Throws kConflict if a domain that runs or is paused has the file or block device among its
/// images, also if it only reads it: not every guest holds a lock. `uri` names the libvirt to ask,
/// and then it must answer within seconds. Empty: the one of this machine, if there is one and it
/// answers. Volumes are not asked about: whoever uses one is known to the cluster.
void refuse_running_guest(Session& session, const Location& image, const std::string& uri);

}  // namespace vmferry::cli
