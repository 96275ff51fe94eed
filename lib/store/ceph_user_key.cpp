// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "lib/store/ceph_client.h"
#include "lib/store/ceph_keyring.h"
#include "lib/store/rbd_admin.h"
#include "lib/store/unique_fd.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr size_t kLargestKeyring = 1 << 20;  // a real one holds a few lines

/// Nothing: it cannot be opened.
std::optional<std::string> read_small_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return std::nullopt;
  std::string text(kLargestKeyring, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw errno_error(errno, path, "read the keyring");
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

std::string without_end(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

/// The first of `paths` that can be opened counts (ceph_resolve_file_search).
std::optional<std::string> key_from_keyrings(const std::string& paths, const std::string& entity) {
  constexpr const char* kBetween = ";,= \t";  // Ceph's get_str_list
  size_t begin = paths.find_first_not_of(kBetween);
  while (begin != std::string::npos) {
    const size_t end = paths.find_first_of(kBetween, begin);
    const std::optional<std::string> text = read_small_file(paths.substr(begin, end - begin));
    if (text) return find_key(*text, entity);
    begin = paths.find_first_not_of(kBetween, end);
  }
  return std::nullopt;
}

}  // namespace

/// In the order of Ceph's KeyRing::from_ceph_context.
std::string ceph_user_key(const CephOptions& options) {
  const CephClient client({}, options);
  if (const std::string key = client.setting("key"); !key.empty()) return key;
  const std::string keyfile = client.setting("keyfile");
  const std::string keyrings = client.setting("keyring");
  std::optional<std::string> key;
  if (!keyfile.empty()) key = read_small_file(keyfile);
  if (key) {
    *key = without_end(*key);
  } else {
    key = key_from_keyrings(keyrings, client.entity());
  }
  if (key && !key->empty()) return *key;
  throw Error({.kind = ErrorKind::kNotFound,
               .object = client.entity(),
               .action = "find the key of this Ceph user",
               .cause = "no keyring holds it (looked in " + keyrings + ")",
               .hint = "pass --keyring FILE, or another user with --id"});
}

}  // namespace vmferry
