// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "vmferry/open.h"

namespace vmferry {

/// An image that names another file.
struct Referrer {
  std::string name;  ///< as in messages
  std::string path;  ///< where it was opened; empty if it is no file
  bool format_named =
      false;                ///< by the user, or by an image that may itself open files; not probed
  std::string format = {};  ///< its name
};

/// A file that may be opened, and what is known of its format.
struct Reference {
  std::string path;  ///< resolved: links followed
  /// As the referrer declares it; nothing: probe.
  std::optional<std::string> format = std::nullopt;
};

/// The backing file that `referrer` calls `stored_name`, with `stored_format` for it, if the policy
/// lets it be opened. Relative names start in the directory of the path by which the image was
/// opened; those in a "json:" name start in the current directory (QEMU, bdrv_open_inherit).
/// Otherwise throws an Error that names the file and the option that allows it. Opens nothing.
Reference resolve_backing(const Referrer& referrer, const std::string& stored_name,
                          const std::optional<std::string>& stored_format,
                          const OpenPolicy& policy);

/// The same for an external data file, which is always raw and which the user always has to allow.
/// The name is a path and nothing else (CVE-2024-4467).
std::string resolve_data_file(const Referrer& referrer, const std::string& stored_name,
                              const OpenPolicy& policy);

/// The same for an extent: a file with a part of the data of `referrer`, which must be a regular
/// one. `no_guest_wrote_it` is FormatGate::open_extent()'s. Of an image that was only probed, a
/// name may be followed then that goes on from its own name as VMware's do: web-flat.vmdk,
/// web-s001.vmdk or web-f001.vmdk for web.vmdk (Virtual Disk Format 5.0, "Extent Description").
/// Otherwise a text of 200 bytes could have any disk beside it copied (CVE-2024-32498).
std::string resolve_extent(const Referrer& referrer, const std::string& stored_name,
                           bool no_guest_wrote_it, const OpenPolicy& policy);

}  // namespace vmferry
