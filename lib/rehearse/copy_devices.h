// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include "lib/rehearse/copy_definition.h"

namespace vmferry::rehearsal {

/// Leaves in <devices> what a copy may have, and nothing else. `guest` is the definition in which
/// its disks are on their clones already, but those that were on RBD before. Writes down in `copy`
/// what goes, and what there is to see. Throws Error.
void filter_devices(tinyxml2::XMLElement& devices, const Domain& guest, const CopyTraits& traits,
                    CopyDefinition& copy);

}  // namespace vmferry::rehearsal
