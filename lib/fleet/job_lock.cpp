// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/job_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/migrate/journal.h"
#include "vmferry/error.h"

namespace vmferry::fleet {

JobLock::JobLock(const std::string& name, const std::string& state_dir)
    : path_(state_dir + "/" + migrate::state_file_name(name) + ".fleet-lock") {
  migrate::make_state_directory(state_dir);
}

bool JobLock::take() {
  UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    throw errno_error(errno, path_, "open");
  }
  if (!is_held(fd)) {
    return false;
  }
  fd_ = std::move(fd);
  return true;
}

void JobLock::remove() noexcept {
  const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (fd.valid() && is_held(fd)) {
    ::unlink(path_.c_str());
  }
}

bool JobLock::is_held(const UniqueFd& fd) const noexcept {
  struct stat opened = {};
  struct stat named = {};
  return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(fd.get(), &opened) == 0 &&
         ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace vmferry::fleet
