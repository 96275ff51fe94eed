// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of the files that use libguestfs: asks the module for what they do.
#include "lib/guestfs/guestfs_module.h"

namespace vmferry {
namespace {

const GuestfsModule& guestfs_module() {
  static const GuestfsModule& table = module_table<GuestfsModule>("vmferry-guestfs", "libguestfs0");
  return table;
}

}  // namespace

std::string libguestfs_version() {
  return module_version(guestfs_module, &GuestfsModule::version_of_library);
}

TrimmedImage trim_copy(const Location& location, std::shared_ptr<const Source> source,
                       ImageFormat format, const TrimOptions& options) {
  return guestfs_module().copy(location, std::move(source), format, options);
}

std::vector<TrimmedPart> trim_in_place(const Location& location, const Source& guest,
                                       ImageFormat format, const TrimOptions& options) {
  return guestfs_module().in_place(location, guest, format, options);
}

}  // namespace vmferry
