// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdio>
#include <string>

namespace vmferry::cli {

/// To standard error. That nobody can read it is no reason to fail: unlike fmt::print this never
/// throws.
inline void say(const std::string& text) noexcept { std::fputs(text.c_str(), stderr); }

/// One line from the library, for people: what it could not remove, for example.
inline void say_notice(const std::string& text) noexcept {
  std::fputs(("vmferry: " + text + "\n").c_str(), stderr);
}

}  // namespace vmferry::cli
