// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/open.h"

namespace vmferry {

/// An image that names another file.
struct Referrer {
  std::string name;  ///< as in messages
  std::string path;  ///< where it was opened; empty if it is no file
  bool format_named =
      false;  ///< by the user, or by an image that may itself open files; not probed
};

/// The resolved path of the file that `referrer` calls `stored_name` (relative names start in the
/// directory of the path by which the image was opened), if the policy lets it be opened. Otherwise
/// throws an Error that names the file and the option that allows it. Opens nothing.
std::string resolve_backing(const Referrer& referrer, const std::string& stored_name,
                            const OpenPolicy& policy);

}  // namespace vmferry
