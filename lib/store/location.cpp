// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/location.h"

#include "lib/store/stores.h"

namespace vmferry {

Location::Location(PathLocation path)
    : store_(&kFileStore), display_(path.path), inside_(std::move(path)) {}

Location::Location(RbdLocation volume)
    : store_(&kRbdStore), display_(volume.display()), inside_(std::move(volume)) {}

const std::string& Location::path() const {
  static const std::string kNone;
  return store_->path == nullptr ? kNone : store_->path(*this);
}

}  // namespace vmferry
