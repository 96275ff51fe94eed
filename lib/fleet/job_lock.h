// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/core/unique_fd.h"

namespace vmferry::fleet {

/// Held by whoever works on a guest or volume of this host for a fleet, and by what runs for it:
/// that may outlive a worker that sleeps. Its file is removed in the end. One thread.
class JobLock {
 public:
  /// Makes the state directory where there is none. Throws Error.
  JobLock(const std::string& name, const std::string& state_dir);

  /// False: another has it. Throws Error.
  bool take();
  /// Removes the file, unless somebody else works on it now.
  void remove() noexcept;
  /// What was started since goes on holding it.
  void release() { fd_ = UniqueFd(); }
  int fd() const { return fd_.get(); }

 private:
  /// A lock on a file that was removed since it was opened keeps nobody out.
  bool is_held(const UniqueFd& fd) const noexcept;

  const std::string path_;
  UniqueFd fd_;
};

}  // namespace vmferry::fleet
