// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/curl_module.h"

extern "C" const vmferry::CurlModule vmferry_module = {
    {vmferry::kVersion, sizeof(vmferry::CurlModule)},
    vmferry::libcurl_version,
    vmferry::parse_http_location,
    vmferry::open_http_source};
