// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fcntl.h>

namespace vmferry {

/// Lets a pipe hold as much as a user may have in one (pipe(7)): fewer turns between both ends of
/// it. Of anything else, and where the user's pipes hold too much already, nothing comes of it.
inline void enlarge_pipe(int fd) {
  constexpr int kMostForUsers = 1 << 20;
  ::fcntl(fd, F_SETPIPE_SZ, kMostForUsers);
}

}  // namespace vmferry
