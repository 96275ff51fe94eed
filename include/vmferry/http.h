// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// How to reach a web server. Proxies are those of the environment (http_proxy, https_proxy,
/// no_proxy), as libcurl takes them (libcurl-env(3)).
struct HttpOptions {
  std::string cacert;      ///< file with the certificates to trust (PEM); empty: the system's
  std::string netrc_file;  ///< users and passwords, in the format of netrc(5); empty: none
  /// How long reading waits for a server that was there and does not answer any more (seconds).
  unsigned stall_timeout = 120;
};

}  // namespace VMFERRY_API vmferry
