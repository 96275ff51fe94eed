// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include "vmferry/domain.h"

namespace vmferry {

/// Makes an empty <source> that of a volume: protocol, name, monitors, configuration and <auth>
/// (libvirt's formatdomain, "Hard drives, floppy disks, CDROMs").
void fill_rbd_source(tinyxml2::XMLElement& source, const RbdTarget& target);

}  // namespace vmferry
