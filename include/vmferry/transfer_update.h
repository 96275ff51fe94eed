// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "vmferry/api.h"
#include "vmferry/history.h"
#include "vmferry/observer.h"
#include "vmferry/source.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

namespace VMFERRY_API vmferry {

/// Copies onto a disk of the same size, which kept as its state `mark` what the source was once:
/// what `changes` tell of the source since, and where the target was written to since, by whomever.
/// With verify both are compared there. All is durable when this returns, and has no name to get.
/// Answers in how many bytes the two could differ. Throws Error; kConflict: the target keeps no
/// such state, and nothing was written to it.
uint64_t transfer_update(const Source& source, const Changes& changes, const std::string& mark,
                         Target& target, const TransferOptions& options = {},
                         Observer* observer = nullptr);

}  // namespace VMFERRY_API vmferry
