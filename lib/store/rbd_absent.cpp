// SPDX-License-Identifier: LGPL-2.1-or-later
// Stands in for the rbd_*.cpp files where the build found no librbd.
#include "lib/store/rbd.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

Error no_rbd(const RbdLocation& location) {
  return Error(
      {.kind = ErrorKind::kUnsupported,
       .object = location.display(),
       .action = "open",
       .cause = "this vmferry was built without RBD",
       .hint = "install librbd-dev and librados-dev and build again with -DVMFERRY_RBD=ON"});
}

}  // namespace

bool has_rbd() { return false; }

OpenVolume open_rbd_source(const RbdLocation& location, const CephOptions& /*options*/) {
  throw no_rbd(location);
}

std::unique_ptr<Sink> open_rbd_sink(const RbdLocation& location, const TargetOptions& /*options*/) {
  throw no_rbd(location);
}

}  // namespace vmferry
