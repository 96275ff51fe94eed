// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/core/module.h"
#include "lib/store/http/http.h"

namespace vmferry {

/// All that others may ask of the files that use libcurl.
struct CurlModule : ModuleTable {
  decltype(&libcurl_version) version_of_library;
  decltype(&parse_http_location) parse;
  decltype(&open_http_source) open_source;
};

}  // namespace vmferry
