// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "vmferry/source.h"

namespace vmferry {

/// A container that is recognised and not read.
struct ForeignFormat {
  std::string name;       ///< for people: "VMDK"
  std::string qemu_name;  ///< the driver of QEMU that reads it ("vmdk"); empty: none does
};

/// Which such container `file` is, as far as its marks tell; nothing: none that is known here.
/// Taking one for a raw disk would give a guest the container in place of the disk. Looks at the
/// first sectors and the last one. Throws Error when the file cannot be read. Any thread.
std::optional<ForeignFormat> find_foreign_format(const Source& file);

}  // namespace vmferry
