// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "lib/core/unique_fd.h"

namespace vmferry {

/// What a child process may still do. Made before fork(), put on after it. What the kernel does not
/// have is left out: each part stands alone.
///  - Landlock (landlock(7), Linux 5.13; for TCP 6.7, for signals and abstract sockets 6.12): it
///    reads the files that it was given and those of the system's libraries. It writes nothing.
///  - no new privileges, and of root's capabilities CAP_DAC_READ_SEARCH alone: what root opened can
///    be opened once more. The user stays the same: a network file system and FUSE ask for it.
///  - as root, a network of its own, with nothing in it.
///  - no core dumps, no file longer than what it says on standard error, 4 GiB of memory.
class Confinement {
 public:
  /// `program` is an absolute path; `files` are descriptors of what may be read.
  Confinement(const std::string& program, const std::vector<int>& files);

  /// Between fork() and exec(), in the child: only calls that a signal handler may make.
  void put_on() const noexcept;
  /// Is access to files limited? For who tells about it.
  bool limits_files() const { return ruleset_.valid(); }

 private:
  UniqueFd ruleset_;
};

}  // namespace vmferry
