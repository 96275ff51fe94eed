// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/key_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lib/core/unique_fd.h"
#include "vmferry/error.h"

namespace vmferry {

Secret read_key_file(const std::string& path) {
  constexpr size_t kMaxPassphrase = 64 << 10;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open the key file");
  }
  Secret secret(kMaxPassphrase + 1);
  size_t size = 0;
  while (size < secret.size()) {
    const ssize_t got = ::read(fd.get(), secret.data() + size, secret.size() - size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      throw errno_error(errno, path, "read the key file");
    }
    if (got == 0) {
      break;
    }
    size += static_cast<size_t>(got);
  }
  if (size == 0 || size > kMaxPassphrase) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = path,
                 .action = "read the key file",
                 .cause = size == 0 ? "it is empty" : "it is too long for a passphrase"});
  }
  secret.shrink(size);
  return secret;
}

}  // namespace vmferry
