// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/core/secret.h"

namespace vmferry {

/// The passphrase in a file: all of its bytes, a newline at the end included (as QEMU's secret
/// objects read it). Throws Error, kNotFound and the like. Any thread.
Secret read_key_file(const std::string& path);

}  // namespace vmferry
