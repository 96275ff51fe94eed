// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "tools/vmferry/ui/session.h"
#include "vmferry/target.h"

namespace vmferry::cli {

/// Makes a file that holds `text`, under a temporary name first; see Target. Replaces an existing
/// one if `force`, but no device, and none of `sources`.
void write_text_file(Session& session, const std::string& path, const std::string& text, bool force,
                     const std::vector<Identity>& sources = {});

}  // namespace vmferry::cli
