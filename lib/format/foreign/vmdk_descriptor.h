// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmferry {

/// A line of a descriptor: a part of the guest's disk, in the order in which they follow one
/// another.
struct VmdkExtentLine {
  std::string access;  ///< "RW", "RDONLY", "NOACCESS"
  uint64_t sectors = 0;
  std::string type;           ///< "SPARSE", "FLAT", "ZERO" ...
  std::string file;           ///< as it is written; empty: none
  uint64_t first_sector = 0;  ///< where in the file the part begins
};

/// The text in a VMDK that says what the image is made of, as far as it tells where data is.
struct VmdkDescriptor {
  std::string create_type;
  std::string cid;         ///< of 8 hexadecimal digits, or empty
  std::string parent_cid;  ///< the same
  std::string parent_name;
  std::vector<VmdkExtentLine> extents;

  bool has_parent() const;
};

/// The most lines with extents that are read: 2 TiB in files of 2 GiB, as VMware makes them.
inline constexpr size_t kMostVmdkExtents = 1024;

/// Reads a descriptor. What is not understood and could be about data is a `cause`; words that are
/// none of ours are left out. Pure.
struct VmdkParse {
  VmdkDescriptor descriptor;
  std::string cause;  ///< why it makes no sense; empty: it does
};
VmdkParse parse_vmdk_descriptor(std::string_view text);

}  // namespace vmferry
