// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

// Catch2, whichever the distribution has: 2 (Debian 12) or 3 (Debian 13).

#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_all.hpp>

#include <string>

namespace vmferry {
inline auto Contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
}  // namespace vmferry

#else

#include <catch2/catch.hpp>

namespace vmferry {
using Catch::Contains;
}  // namespace vmferry

#endif
