// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_user_key.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "lib/store/file/file_text.h"
#include "lib/store/rbd/ceph_keyring.h"
#include "lib/store/rbd/rbd_admin.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

std::string without_end(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

std::vector<std::string> split_paths(const std::string& paths) {
  constexpr const char* kBetween = ";,= \t";  // Ceph's get_str_list
  std::vector<std::string> list;
  size_t begin = paths.find_first_not_of(kBetween);
  while (begin != std::string::npos) {
    const size_t end = paths.find_first_of(kBetween, begin);
    list.push_back(paths.substr(begin, end - begin));
    begin = paths.find_first_not_of(kBetween, end);
  }
  return list;
}

KeySearch not_found(const std::string& where) {
  return {.key = {}, .failure = "no key for this user found (" + where + ")"};
}

/// The first of `paths` that can be opened counts (ceph_resolve_file_search).
KeySearch search_keyrings(const std::string& paths, const std::string& entity) {
  std::string closed;  // those that are there, and cannot be opened
  for (const std::string& path : split_paths(paths)) {
    const FileText file = read_small_file(path);
    if (file.error == ENOENT) {
      continue;
    }
    if (file.error != 0) {
      closed += (closed.empty() ? "" : "; ") + path + ": " + std::strerror(file.error);
      if (file.opened) {
        break;
      }
      continue;
    }
    const std::optional<std::string> key = find_key(file.text, entity);
    return key ? KeySearch{.key = key}
               : not_found(fmt::format("{} holds none of {}", path, entity));
  }
  return not_found(closed.empty() ? "looked in " + paths : closed);
}

}  // namespace

KeySearch find_user_key(const CephClient& client) {
  if (const std::string key = client.setting("key"); !key.empty()) {
    return {.key = key};
  }
  if (const std::string keyfile = client.setting("keyfile"); !keyfile.empty()) {
    const FileText file = read_small_file(keyfile);
    const std::string key = without_end(file.text);
    if (file.error == 0 && !key.empty()) {
      return {.key = key};
    }
  }
  return search_keyrings(client.setting("keyring"), client.entity());
}

std::string ceph_user_key(const CephOptions& options) {
  const CephClient client({}, options);
  const KeySearch search = find_user_key(client);
  if (search.key) {
    return *search.key;
  }
  throw Error({.kind = ErrorKind::kNotFound,
               .object = client.entity(),
               .action = "find the key of this Ceph user",
               .cause = search.failure,
               .hint = "pass --keyring FILE, or another user with --id"});
}

}  // namespace vmferry
