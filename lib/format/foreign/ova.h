// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/format/format.h"

namespace vmferry {

/// A disk of a machine in an archive (OVA): that of the gate's disk(), or the only one. Its image
/// is read where it lies in the archive. Throws Error.
std::unique_ptr<Source> open_ova(std::unique_ptr<Source> file, FormatGate& gate);

}  // namespace vmferry
