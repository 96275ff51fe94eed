// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

[[noreturn]] void refuse(const std::string& object, std::string cause, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .object = object,
               .action = {},
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

const std::string& value_of(std::string_view key, const Domain& domain, const std::string& dev,
                            const std::string& object) {
  if (key == "dev") {
    return dev;
  }
  if (key != "domain" && key != "uuid") {
    refuse(object, fmt::format("'{{{}}}' means nothing", key),
           "it may hold {domain}, {uuid} and {dev}");
  }
  const std::string& value = key == "domain" ? domain.name : domain.uuid;
  if (value.empty()) {
    refuse(object, fmt::format("the definition has no {}", key));
  }
  return value;
}

}  // namespace

std::string fill_name_template(const std::string& name_template, const Domain& domain,
                               const std::string& dev) {
  std::string name;
  std::string_view rest = name_template;
  const std::string object = fmt::format("--name-template '{}'", name_template);
  while (true) {
    const size_t open = std::min(rest.find('{'), rest.size());
    name += rest.substr(0, open);
    rest.remove_prefix(open);
    if (rest.empty()) {
      return name;
    }
    const size_t close = rest.find('}');
    if (close == std::string_view::npos) {
      refuse(object, "has a '{' without '}'");
    }
    name += value_of(rest.substr(1, close - 1), domain, dev, object);
    rest.remove_prefix(close + 1);
  }
}

}  // namespace vmferry
