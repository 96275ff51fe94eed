// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/copy.h"

namespace vmferry {

/// The work of copy() for a sink that is a stream (SinkTraits::in_order): many threads read, and
/// what they read is written in order. Throws as copy() does.
void copy_in_order(const Source& source, Sink& sink, const CopyOptions& options,
                   Progress& progress);

}  // namespace vmferry
