// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/stores.h"

#include <utility>

#include "vmferry/error.h"

namespace vmferry {
namespace {

/// All stores there are. Nearly every text can be a path, so files come last.
constexpr const Store* kStores[] = {&kRbdStore, &kFileStore};

}  // namespace

Location parse_location(std::string_view text) {
  for (const Store* store : kStores) {
    if (std::optional<Location> location = store->parse(text)) {
      return std::move(*location);
    }
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = std::string(text),
               .action = {},
               .cause = "this kind of address is not supported",
               .hint = "a file of that name is written ./" + std::string(text)});
}

}  // namespace vmferry
