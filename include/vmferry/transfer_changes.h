// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/api.h"
#include "vmferry/history.h"
#include "vmferry/observer.h"
#include "vmferry/source.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

namespace VMFERRY_API vmferry {

/// transfer(), to a target in which another disk shows where nothing is written (ImageLink): that
/// of `below`, of which `changes` tell where `source` may differ. Only that is read and written.
/// With Verify::kYes it is compared afterwards, and what the target has of its own, if it can tell;
/// with kReading all is. There are no checkpoints, and options.digest is told nothing.
TransferResult transfer_changes(const Source& source, const Source& below, const Changes& changes,
                                Target& target, const TransferOptions& options = {},
                                Observer* observer = nullptr);

}  // namespace VMFERRY_API vmferry
