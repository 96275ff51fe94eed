// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry {

/// A snapshot of a volume that is a copy.
struct CopiedSnapshot {
  std::string name;
  std::string id;  ///< its number in the volume
  enum class Origin {
    kElsewhere,    ///< somebody made it
    kPerhapsCopy,  ///< by its name it stands for a state; a version of vmferry made it that did not
                   ///< write down which one it is, or somebody did after it was removed
    kBeingMade,    ///< of a copy that died, or is at it now
    kCopy,         ///< stands for a state of the disk that the volume is a copy of (Target::mark)
  };
  Origin origin = Origin::kElsewhere;
  std::string state_id = {};  ///< of that state: Point::id
};

}  // namespace vmferry
