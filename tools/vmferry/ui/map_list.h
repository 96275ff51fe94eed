// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <stop_token>

#include "tools/vmferry/ui/output.h"
#include "vmferry/map.h"

namespace vmferry::cli {

/// The map of `disk` as one line for each extent, or as the JSON of `qemu-img map --output=json`
/// (QEMU 7.2): the same fields in the same order, spaces included. Both are written as they come,
/// however long they are. Throws Error kCancelled when stopped.
void print_map_table(const Source& disk, Output& out, std::stop_token stop);
void print_map_json(const Source& disk, Output& out, std::stop_token stop);

}  // namespace vmferry::cli
