// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

namespace vmferry {

/// A disk in the description of a machine.
struct OvfDisk {
  std::string id;
  std::string file;         ///< name of its file; empty: it has none, it is an empty disk
  std::string compression;  ///< of the file; empty: none
  bool is_vmdk = false;     ///< as it says
  bool is_in_chunks = false;
  bool has_parent = false;
};

struct OvfParse {
  std::vector<OvfDisk> disks;  ///< in the order of the DiskSection
  std::string cause;           ///< why it makes no sense; empty: it does
};

/// Reads an OVF envelope (DSP0243 of the DMTF). Pure.
OvfParse parse_ovf(const std::string& xml);

}  // namespace vmferry
