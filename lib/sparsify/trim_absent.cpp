// SPDX-License-Identifier: LGPL-2.1-or-later
// Stands in for the files that use libguestfs where the build found none.
#include "vmferry/error.h"
#include "vmferry/sparsify.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

Error no_guestfs(const Location& location) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = display_name(location),
                .action = "trim",
                .cause = "this vmferry was built without libguestfs",
                .hint = "install libguestfs-dev and build again with -DVMFERRY_GUESTFS=ON"});
}

}  // namespace

std::string libguestfs_version() { return {}; }

TrimmedImage trim_copy(const Location& location, std::shared_ptr<const Source> /*source*/,
                       ImageFormat /*format*/, const TrimOptions& /*options*/) {
  throw no_guestfs(location);
}

std::vector<TrimmedPart> trim_in_place(const Location& location, const Source& /*guest*/,
                                       ImageFormat /*format*/, const TrimOptions& /*options*/) {
  throw no_guestfs(location);
}

}  // namespace vmferry
