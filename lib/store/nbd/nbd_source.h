// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/store/nbd/nbd_export.h"
#include "vmferry/source.h"

namespace vmferry {

/// The first `size` bytes of the export, read through connections that are there.
std::unique_ptr<Source> read_nbd_export(std::shared_ptr<NbdExport> from, uint64_t size);

}  // namespace vmferry
