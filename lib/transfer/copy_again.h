// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "vmferry/copy_breaks.h"
#include "vmferry/observer.h"
#include "vmferry/transfer.h"

namespace vmferry {

/// Copies what was changed in the breaks of a copy of `source` onto it once more, and what was
/// changed meanwhile, until nothing was; with verify both are compared there. No break comes after
/// that (CopyBreaks::close). Answers how many bytes that were. Throws Error; kIo also where more is
/// changed again and again than is copied.
uint64_t copy_again(const Source& source, CopyBreaks& breaks, Sink& sink,
                    const TransferOptions& options, Observer* observer);

}  // namespace vmferry
