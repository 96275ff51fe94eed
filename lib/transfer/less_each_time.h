// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <limits>

namespace vmferry {

/// Whether what is left becomes less and less, as it does where more is done than comes.
class LessEachTime {
 public:
  /// Looks at how much is left now. False: for several times it was not less by an eighth at least
  /// than the least before.
  bool still(uint64_t left) {
    vain_ = left < least_ - least_ / 8 ? 0 : vain_ + 1;
    least_ = vain_ == 0 ? left : least_;
    return vain_ < kMostVain;
  }

 private:
  static constexpr unsigned kMostVain = 6;
  uint64_t least_ = std::numeric_limits<uint64_t>::max();
  unsigned vain_ = 0;
};

}  // namespace vmferry
