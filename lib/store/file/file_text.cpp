// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lib/core/unique_fd.h"

namespace vmferry {

FileText read_small_file(const std::string& path) {
  constexpr size_t kMost = 1 << 20;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    return {.error = errno};
  }
  FileText file = {.text = std::string(kMost, '\0'), .opened = true};
  size_t have = 0;
  while (have < kMost) {
    const ssize_t got = ::read(fd.get(), file.text.data() + have, kMost - have);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      file.error = errno;
    }
    if (got <= 0) {
      break;
    }
    have += static_cast<size_t>(got);
  }
  file.text.resize(have);
  return file;
}

}  // namespace vmferry
