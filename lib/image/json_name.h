// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

namespace vmferry {

/// What a name of QEMU's kind "json:{...}" says.
struct JsonName {
  std::string file;                   ///< a path as it stands there
  std::optional<std::string> format;  ///< one that is read, if it says so
  std::string cause;                  ///< not empty: why it is not understood
};

/// Nothing if `name` does not begin with "json:". Understands a plain file, with or without a
/// format over it, in nested or dotted spelling: {"driver": "qcow2", "file": {"driver": "file",
/// "filename": "x"}} (QEMU's -blockdev). Options that change what would be read are not understood;
/// nor is a key that is there twice. Pure: any thread.
std::optional<JsonName> parse_json_name(const std::string& name);

}  // namespace vmferry
