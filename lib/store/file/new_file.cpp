// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_io.h"
#include "vmferry/error.h"

namespace vmferry {

void create_file(const std::string& path, uint64_t size, std::span<const std::byte> start) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid() && errno == EEXIST) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "create",
                 .cause = "the file exists",
                 .hint = "move it away, or choose another name"});
  }
  if (!fd.valid()) {
    throw errno_error(errno, path, "create");
  }
  try {
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
      throw errno_error(errno, path, fmt::format("set the size to {} bytes", size));
    }
    pwrite_all(fd.get(), 0, start, path);
    sync_fd(fd.get(), path);
    sync_directory_of(path);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

}  // namespace vmferry
