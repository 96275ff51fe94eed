// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of the files that use libcurl: asks the module for what they do.
#include "lib/store/http/curl_module.h"

namespace vmferry {
namespace {

const CurlModule& curl_module() {
  static const CurlModule& table = module_table<CurlModule>("vmferry-curl", "libcurl4");
  return table;
}

}  // namespace

std::string libcurl_version() {
  return module_version(curl_module, &CurlModule::version_of_library);
}

HttpLocation parse_http_location(std::string_view text) { return curl_module().parse(text); }

OpenBytes open_http_source(const HttpLocation& location, const NetworkOptions& network) {
  return curl_module().open_source(location, network);
}

}  // namespace vmferry
