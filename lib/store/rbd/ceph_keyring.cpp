// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_keyring.h"

namespace vmferry {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\"'";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view without_comment(std::string_view line) {
  return line.substr(0, line.find_first_of("#;"));
}

}  // namespace

std::optional<std::string> find_key(std::string_view keyring, std::string_view entity) {
  std::optional<std::string> key;
  bool ours = false;
  while (!keyring.empty()) {
    const size_t end = keyring.find('\n');
    const std::string_view line = trimmed(without_comment(keyring.substr(0, end)));
    keyring.remove_prefix(end == std::string_view::npos ? keyring.size() : end + 1);
    if (line.size() >= 2 && line.front() == '[' && line.back() == ']') {
      ours = trimmed(line.substr(1, line.size() - 2)) == entity;
      continue;
    }
    const size_t equals = line.find('=');
    if (!ours || equals == std::string_view::npos) {
      continue;
    }
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (trimmed(line.substr(0, equals)) == "key" && !value.empty()) {
      key = std::string(value);
    }
  }
  return key;
}

}  // namespace vmferry
