// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/rehearse.h"

namespace vmferry::cli {

/// What came of a rehearsal. `picture`: the file with its screenshot; empty: there is none.
std::string rehearsal_text(const std::string& domain, const RehearsalReport& report,
                           const std::string& picture);
/// On one line.
std::string rehearsal_json(const std::string& domain, const RehearsalReport& report,
                           const std::string& picture);

}  // namespace vmferry::cli
