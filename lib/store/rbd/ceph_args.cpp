// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_args.h"

#include <optional>

namespace vmferry {
namespace {

/// The next word; nothing at the end.
std::optional<std::string_view> next_word(std::string_view& rest) {
  const size_t begin = rest.find_first_not_of(' ');
  if (begin == std::string_view::npos) {
    return std::nullopt;
  }
  rest.remove_prefix(begin);
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

}  // namespace

CephArgs parse_ceph_args(std::string_view text) {
  CephArgs args;
  std::string_view rest = text;
  while (const auto word = next_word(rest)) {
    if (*word == "--") {
      break;
    }
    const size_t equals = word->find('=');
    const std::string_view option = word->substr(0, equals);
    std::string* place = nullptr;
    std::string begin;
    if (option == "--conf" || option == "-c") {
      place = &args.conf;
    } else if (option == "--cluster") {
      place = &args.cluster;
    } else if (option == "--name" || option == "-n") {
      place = &args.entity;
    } else if (option == "--id" || option == "--user") {
      place = &args.entity;
      begin = "client.";
    }
    if (place == nullptr) {
      continue;
    }
    const auto value = equals == std::string_view::npos ? next_word(rest)
                                                        : std::optional(word->substr(equals + 1));
    if (value) {
      *place = begin + std::string(*value);
    }
  }
  return args;
}

}  // namespace vmferry
