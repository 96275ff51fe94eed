// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/location.h"

#include "lib/store/address.h"
#include "lib/store/stores.h"
#include "vmferry/error.h"

namespace vmferry {

Location::Location(PathLocation path)
    : store_(&kFileStore), display_(path.path), inside_(std::move(path)) {}

Location::Location(RbdLocation volume)
    : store_(&kRbdStore), display_(volume.display()), inside_(std::move(volume)) {}

const std::string& Location::path() const {
  static const std::string kNone;
  return store_->path == nullptr ? kNone : store_->path(*this);
}

bool Location::is_standard_output() const { return store_->is_standard_output; }

Location parse_location(std::string_view text) {
  for (const Store* store : stores()) {
    if (std::optional<Location> location = store->parse(text)) {
      return std::move(*location);
    }
  }
  const std::string shown = without_secrets(text);
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = shown,
               .action = {},
               .cause = "this kind of address is not supported",
               .hint = "a file of that name is written ./" + shown});
}

}  // namespace vmferry
