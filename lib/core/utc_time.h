// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <ctime>
#include <string>

namespace vmferry {

/// "2026-11-27 14:55:04.397702426Z".
std::string utc_time(const timespec& time);
std::string utc_now();

}  // namespace vmferry
