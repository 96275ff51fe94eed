// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/store/http/http_location.h"
#include "lib/store/store.h"
#include "vmferry/network.h"
#include "vmferry/version.h"

namespace vmferry {

// What the files that use libcurl do for the others.

/// Opens an object to read. Throws Error: it cannot be read by ranges, or which version of it that
/// is cannot be told.
OpenBytes open_http_source(const HttpLocation& location, const NetworkOptions& network);

}  // namespace vmferry
