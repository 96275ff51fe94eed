// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "vmferry/history.h"
#include "vmferry/observer.h"
#include "vmferry/transfer.h"

namespace vmferry {

/// Copies what `changes` tell of `source` onto what holds, or shows, the state before, which had
/// `size_before` bytes; and flushes that. The observer is told of options.phase. Throws Error.
CopyResult copy_changes(const Source& source, const Changes& changes, uint64_t size_before,
                        Sink& sink, const TransferOptions& options, Observer* observer);

/// It copies whole blocks of so many bytes.
uint64_t block_of_changes(const Sink& sink);

}  // namespace vmferry
