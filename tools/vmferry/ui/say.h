// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry::cli {

/// Writes all of `text`; a descriptor that another program made non-blocking is waited for. Returns
/// 0, or the errno of the failure.
int write_fully(int fd, std::string_view text) noexcept;

/// To standard error, as it is. That nobody can read it is no reason to fail.
void say(std::string_view text) noexcept;
/// Would a short text be taken at once? A reader may be slow, or stopped (Ctrl-S): what is worth
/// less than the run's going on, or its end, is not said then.
bool can_say_now() noexcept;

/// One line for people. Names of files, snapshots or machines in it may come from a stranger: what
/// would move the cursor or begin another line is shown as '?'.
void say_line(const std::string& text) noexcept;

/// One line from the library: what it could not remove, for example.
void say_notice(const std::string& text) noexcept;

}  // namespace vmferry::cli
