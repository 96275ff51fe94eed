// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "vmferry/stream.h"

namespace vmferry {

/// The raw disk in a stream: what it holds, unpacked where it is compressed. Reads its beginning.
/// Throws Error kUnsupported where that has the mark of a container, which is no disk; a mark at
/// its end shows when the stream is read.
std::unique_ptr<ByteStream> disk_in_stream(std::unique_ptr<ByteStream> stored);

}  // namespace vmferry
