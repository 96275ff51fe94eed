// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/format/format.h"

namespace vmferry {

/// The format that `file` has, as far as its marks tell; there always is one, since anything can be
/// a raw disk. Taking a container for a raw disk would give a guest the container in place of the
/// disk. Throws Error when the file cannot be read. Any thread.
ImageFormat probe_format(const Source& file);

}  // namespace vmferry
