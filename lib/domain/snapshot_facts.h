// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "vmferry/domain.h"

namespace vmferry {

/// What a <domainsnapshot> says that a snapshot of a domain holds (libvirt's formatsnapshot.html).
struct DomainSnapshot {
  enum class Where {
    kNowhere,  ///< it does not hold that
    kInside,   ///< of the disk's image
    kBeside,   ///< in a file of its own: of a disk, the image that it had then
  };
  struct Disk {
    std::string dev;
    Where state = Where::kInside;
    DiskImage image = {};  ///< that it had then, which holds its state
  };

  std::string name;
  Where memory = Where::kNowhere;
  std::string memory_file;  ///< kBeside
  std::vector<Disk> disks;  ///< without those of which it holds nothing
};

/// `object` is what messages call it. Throws Error as parse_domain does.
DomainSnapshot read_domain_snapshot(const std::string& text, const std::string& object);

}  // namespace vmferry
