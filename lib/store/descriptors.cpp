// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace vmferry {
namespace {

/// Asks for each number: listing /proc/self/fd would take a descriptor.
size_t count_free(rlim_t limit, size_t wanted) {
  size_t count = 0;
  for (int fd = 0; static_cast<rlim_t>(fd) < limit && count < wanted; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      ++count;
    }
  }
  return count;
}

}  // namespace

size_t free_descriptors(size_t wanted) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return wanted;
  }
  size_t count = count_free(limit.rlim_cur, wanted);
  while (count < wanted && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, limit.rlim_cur + (wanted - count));
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      break;
    }
    count = count_free(limit.rlim_cur, wanted);  // some numbers beyond the old limit may be in use
  }
  return count;
}

}  // namespace vmferry
