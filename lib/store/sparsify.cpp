// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/sparsify.h"

#include "lib/store/store.h"
#include "vmferry/error.h"

namespace vmferry {

void refuse_without_space(const Location& location) {
  if (location.store().sparsify == nullptr) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "sparsify in place",
                 .cause = "such a place cannot give back space",
                 .hint = "name a target: the copy is sparse"});
  }
}

SpaceUse sparsify_in_place(const Location& location, const InPlaceOptions& options,
                           Progress& progress) {
  refuse_without_space(location);
  return location.store().sparsify(location, options, progress);
}

bool can_rehearse_in_place(const Location& location) {
  return location.store().sparsify_can_rehearse;
}

std::optional<uint64_t> allocated_bytes(const Location& location, const NetworkOptions& network) {
  const Store& store = location.store();
  return store.allocated == nullptr ? std::nullopt : store.allocated(location, network);
}

}  // namespace vmferry
